"""Frames from a client: CPU per masked frame through wsmesh.wire against websockets' sans-I/O.

Run: `python -m bench frame_parser`. Each frame is one read. Both give the payload of a validated
text; websockets makes a str of it only when asked, and is not. Also shown: both ways of unmasking.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import click
from websockets.frames import Frame
from websockets.protocol import SERVER, Protocol

from wsmesh.config.sections import LimitsSection
from wsmesh.wire import mask as masking
from wsmesh.wire.frames import TEXT, FrameParser, client_frame
from wsmesh.wire.mask import mask

SIZES = (16, 64, 120, 1000, 16_000)
SMALL = 64
KEY = b"\x37\xfa\x21\x3d"


def payload_of(size: int) -> bytes:
    """ASCII text, as JSON usually is."""
    return (b'{"id":1,"publish":{"channel":"news"}}' * (size // 37 + 1))[:size]


def through_wire(data: bytes) -> Callable[[], None]:
    """Feed `data` to a parser of ours and look at each event."""
    parser = FrameParser(LimitsSection(), None)

    def call() -> None:
        for kind, _payload in parser.feed(data):
            assert kind == TEXT

    return call


def through_websockets(data: bytes) -> Callable[[], None]:
    """Feed `data` to the protocol of websockets and look at each event."""
    protocol = Protocol(SERVER, max_size=64 * 1024)

    def call() -> None:
        protocol.receive_data(data)
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            assert event.opcode == TEXT

    return call


def unmasking(size: int, by_number: int) -> Callable[[], None]:
    """Unmask as one number up to `by_number` bytes, else with four tables."""
    data = payload_of(size)

    def call() -> None:
        masking.BY_NUMBER, before = by_number, masking.BY_NUMBER
        mask(data, KEY)
        masking.BY_NUMBER = before

    return call


def nanoseconds(call: Callable[[], None], calls: int) -> float:
    """CPU time of one call."""
    began = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - began) / calls * 1e9


@click.command()
@click.option("--quick", is_flag=True, help="Fewer calls per round.")
@click.option("--rounds", type=click.IntRange(5), default=7, show_default=True)
def main(quick: bool, rounds: int) -> None:
    """CPU nanoseconds per frame."""
    ratios = {}
    for size in SIZES:
        data = client_frame(TEXT, payload_of(size))
        calls = (2_000 if quick else 40_000) // (1 + size // 1000)
        contenders = {
            "wsmesh": through_wire(data),
            "websockets": through_websockets(data),
            "unmask by number": unmasking(size, 1 << 30),
            "unmask by tables": unmasking(size, -1),
        }
        figures: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, call in contenders.items():
                figures[name].append(nanoseconds(call, calls))
        shown = ", ".join(f"{name} {median(values):.0f}" for name, values in figures.items())
        click.echo(f"  {size} bytes, ns CPU, medians of {rounds}: {shown}")
        ratios[size] = median(figures["websockets"]), median(figures["wsmesh"])
    theirs, ours = ratios[SMALL]
    click.echo(
        f"frame_parser: {SMALL} bytes: websockets {theirs:.0f} / wsmesh {ours:.0f} ns"
        f" = {theirs / ours:.1f}"
    )


if __name__ == "__main__":
    main()
