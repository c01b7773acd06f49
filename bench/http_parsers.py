"""HTTP heads: CPU per WebSocket upgrade through httptools against h11, and through wsmesh.wire.

Run: `python -m bench http_parsers`. The same head of a browser goes through each parser, a new
parser object for each request, in turns; figures are medians of the rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import click
import h11
import httptools

from wsmesh.config.sections import CompressionSection, LimitsSection
from wsmesh.wire.handshake import accept
from wsmesh.wire.http import RequestParser

HEAD = (
    b"GET /connection/websocket HTTP/1.1\r\n"
    b"Host: app.example.com\r\n"
    b"Connection: Upgrade\r\n"
    b"Pragma: no-cache\r\n"
    b"Cache-Control: no-cache\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/126.0.0.0 Safari/537.36\r\n"
    b"Upgrade: websocket\r\n"
    b"Origin: https://app.example.com\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-US,en;q=0.9\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    b"\r\n"
)
LIMITS = LimitsSection()
COMPRESSION = CompressionSection(enabled=True)


class Collected:
    """The least that httptools needs to give the same result as h11."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


def through_httptools() -> None:
    """Parse with httptools."""
    parser = httptools.HttpRequestParser(Collected())
    try:
        parser.feed_data(HEAD)
    except httptools.HttpParserUpgrade:
        return
    raise AssertionError("expected an upgrade")


def through_h11() -> None:
    """Parse with h11."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(HEAD)
    assert isinstance(connection.next_event(), h11.Request)


def through_wire() -> None:
    """Parse with httptools, within limits, into a request."""
    assert RequestParser(LIMITS).feed(HEAD) is not None


def through_handshake() -> None:
    """The same, and answer the upgrade."""
    request = RequestParser(LIMITS).feed(HEAD)
    assert request is not None
    assert accept(request, compression=COMPRESSION, subprotocols=()).deflate is not None


CONTENDERS: dict[str, Callable[[], None]] = {
    "httptools": through_httptools,
    "h11": through_h11,
    "wsmesh.wire request": through_wire,
    "wsmesh.wire handshake": through_handshake,
}


@click.command()
@click.option("--quick", is_flag=True, help="Fewer calls per round.")
@click.option("--rounds", type=click.IntRange(5), default=7, show_default=True)
def main(quick: bool, rounds: int) -> None:
    """CPU microseconds per upgrade request."""
    calls = 200 if quick else 4000
    figures: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name, call in CONTENDERS.items():
            began = time.process_time()
            for _ in range(calls):
                call()
            figures[name].append((time.process_time() - began) / calls * 1e6)
    click.echo(f"upgrade of {HEAD.count(b': ')} headers, {len(HEAD)} bytes; {rounds} rounds")
    for name, values in figures.items():
        spread = f"{min(values):.1f}-{max(values):.1f}"
        click.echo(f"  {name}: {median(values):.1f} us CPU ({spread})")
    ours, theirs = median(figures["httptools"]), median(figures["h11"])
    click.echo(f"http_parsers: h11 {theirs:.1f} / httptools {ours:.1f} us = {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
