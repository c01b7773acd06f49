"""A publisher or a subscriber of one channel, or a probe of Redis, for bench.cross_node.

Messages carry the time at which they were due, not the time at which they were sent, so that a
late publisher does not hide what it waited for (G. Tene, coordinated omission).
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator

import click
from hdrh.histogram import HdrHistogram

CHANNEL = "bench"
MASK = b"\x00\x00\x00\x00"
PADDING = "x" * 80
DUE = b'"due":'


class Peer:
    """A WebSocket client that is just enough for the load."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall((
            f"GET /connection/websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n"
        ).encode())  # fmt: skip
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._data += self.sock.recv(65536)
        self._data = self._data.split(b"\r\n\r\n", 1)[1]
        self.send({"id": 1, "connect": {}})
        self.wait_for(b'"connect"')

    def send(self, command: dict[str, object]) -> None:
        """Send a command; the mask is zero, which every server must take."""
        payload = json.dumps(command, separators=(",", ":")).encode()
        size = len(payload)
        head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        self.sock.sendall(head + MASK + payload)

    def messages(self) -> Iterator[bytes]:
        """Yield the text of every frame, for ever."""
        while True:
            while len(self._data) >= 2:
                size, start = self._data[1], 2
                if size == 126:
                    size, start = int.from_bytes(self._data[2:4], "big"), 4
                if len(self._data) < start + size:
                    break
                text = self._data[start : start + size]
                self._data = self._data[start + size :]
                yield text
            self._data += self.sock.recv(65536)

    def wait_for(self, part: bytes) -> None:
        """Wait for a message that contains `part`."""
        next(text for text in self.messages() if part in text)


@click.group()
def main() -> None:
    """Publish or subscribe."""


@main.command()
@click.option("--port", type=int)
@click.option("--count", type=int)
def subscribe(port: int, count: int) -> None:
    """Print a line when subscribed, then the delays of `count` messages, in us, as JSON."""
    peer = Peer(port)
    peer.send({"id": 2, "subscribe": {"channel": CHANNEL}})
    peer.wait_for(b'"subscribe"')
    print("ready", flush=True)
    delays = HdrHistogram(1, 60_000_000, 3)
    heard = 0
    for text in peer.messages():
        now = time.monotonic_ns()
        for line in text.split(b"\n"):
            found = line.find(DUE)
            if found >= 0:
                due = int(line[found + len(DUE) :].partition(b",")[0])
                delays.record_value(max(1, (now - due) // 1000))
                heard += 1
        if heard >= count:
            break
    print(json.dumps(percentiles(delays)))


@main.command()
@click.option("--port", type=int)
@click.option("--count", type=int)
@click.option("--rate", type=float)
def publish(port: int, count: int, rate: float) -> None:
    """Publish `count` messages at `rate` per second, each due at its own time."""
    peer = Peer(port)
    began = time.monotonic_ns() + 50_000_000
    lateness = HdrHistogram(1, 60_000_000, 3)
    for number in range(count):
        due = began + round(number * 1e9 / rate)
        while (left := due - time.monotonic_ns()) > 0:
            time.sleep(left / 1e9)
        data = {"due": due, "n": number, "x": PADDING}
        peer.send({"id": number + 2, "publish": {"channel": CHANNEL, "data": data}})
        lateness.record_value(max(1, (time.monotonic_ns() - due) // 1000))
        while select.select([peer.sock], [], [], 0)[0]:
            peer.sock.recv(65536)
    print(json.dumps({"late_p99": lateness.get_value_at_percentile(99)}))


@main.command()
@click.option("--port", type=int)
@click.option("--rate", type=float)
def probe(port: int, rate: float) -> None:
    """Send Redis PING and GET in turn on a connection of their own until stdin ends.

    Prints a line when connected, and how long after they were due the replies came, in us, as JSON.
    """
    delays = HdrHistogram(1, 60_000_000, 3)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        print("ready", flush=True)
        began, number = time.monotonic_ns(), 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            due = began + round(number * 1e9 / rate)
            if (left := due - time.monotonic_ns()) > 0:
                time.sleep(left / 1e9)
            sock.sendall(b"GET bench-probe\r\n" if number % 2 else b"PING\r\n")
            reply = b""
            while not reply.endswith(b"\r\n"):
                reply += sock.recv(4096)
            assert reply in (b"+PONG\r\n", b"$-1\r\n"), reply
            delays.record_value(max(1, (time.monotonic_ns() - due) // 1000))
            number += 1
    print(json.dumps({**percentiles(delays), "count": number}))


def percentiles(delays: HdrHistogram) -> dict[str, float]:
    """Return what the parent reports."""
    return {str(each): delays.get_value_at_percentile(each) for each in (50, 99, 99.9, 100)}


if __name__ == "__main__":
    main()
