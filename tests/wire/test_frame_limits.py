"""Limits of messages: passed at the bound, refused past it, and memory stays bounded."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsmesh.config.sections import LimitsSection
from wsmesh.config.values import ByteSize
from wsmesh.errors import ProtocolViolation
from wsmesh.wire.deflate import DeflateParameters, Inflater
from wsmesh.wire.frames import (
    BINARY,
    CONTINUATION,
    PONG,
    TEXT,
    FrameParser,
    client_frame,
)

KEY = b"\x01\x02\x03\x04"


def parser_with(size: int = 64 * 1024, fragments: int = 128) -> FrameParser:
    return FrameParser(LimitsSection(message_size=ByteSize(size), fragments=fragments), None)


def refusal(parser: FrameParser, data: bytes) -> ProtocolViolation | None:
    try:
        list(parser.feed(data))
    except ProtocolViolation as violation:
        return violation
    return None


def fragments(pieces: Iterable[bytes]) -> list[bytes]:
    """Frames of one message that never ends."""
    return [
        client_frame(CONTINUATION if at else BINARY, piece, fin=False)
        for at, piece in enumerate(pieces)
    ]


@pytest.mark.parametrize("size", [128, 1000, 65536])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_of_the_greatest_size_passes_and_one_byte_more_is_1009(
    kind: int, size: int
) -> None:
    for fits in (size - 1, size):
        assert list(parser_with(size).feed(client_frame(kind, b"x" * fits))) == [
            (kind, b"x" * fits)
        ]

    violation = refusal(parser_with(size), client_frame(kind, b"x" * (size + 1)))
    assert violation is not None
    assert (violation.code, violation.limit) == (1009, "message_size")


def test_the_size_of_fragments_adds_up() -> None:
    parser = parser_with(128)

    assert refusal(parser, b"".join(fragments([bytes(64), bytes(64), b""]))) is None
    violation = refusal(parser, client_frame(CONTINUATION, b"x"))
    assert violation is not None
    assert (violation.code, violation.limit) == (1009, "message_size")


@pytest.mark.parametrize("length", [65537, 1 << 32, (1 << 63) - 1])
@pytest.mark.parametrize("masked", [True, False], ids=["with key", "without key"])
def test_a_declared_length_is_refused_before_any_payload(length: int, masked: bool) -> None:
    head = b"\x82\xff" + length.to_bytes(8, "big") + (KEY if masked else b"")
    violation = refusal(parser_with(), head)

    assert violation is not None
    assert (violation.code, violation.limit) == (1009, "message_size")


@pytest.mark.parametrize("bound", [1, 2, 128])
def test_a_message_of_the_most_fragments_passes_and_one_more_is_1008(bound: int) -> None:
    frames = fragments([b""] * (bound - 1))
    last = client_frame(CONTINUATION if frames else BINARY, b"end")
    assert list(parser_with(fragments=bound).feed(b"".join(frames) + last)) == [(BINARY, b"end")]

    violation = refusal(parser_with(fragments=bound), b"".join(fragments([b""] * (bound + 1))))
    assert violation is not None
    assert (violation.code, violation.limit) == (1008, "fragments")


@pytest.mark.parametrize("piece", [b"", b"x"], ids=["empty", "one byte"])
def test_a_flood_of_fragments_ends_at_the_129th_and_holds_little(piece: bytes) -> None:
    frames = fragments([piece] * 20_000)
    parser = parser_with()
    tracemalloc.start()
    try:
        taken = 0
        while (violation := refusal(parser, frames[taken])) is None:
            taken += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (taken, violation.limit) == (128, "fragments")
    assert peak < 64 * 1024


def test_control_frames_are_no_fragments() -> None:
    parser = parser_with(fragments=2)
    start, *_ = fragments([b"a"])

    assert refusal(parser, start + client_frame(PONG, b"") * 50) is None
    assert list(parser.feed(client_frame(CONTINUATION, b"b"))) == [(BINARY, b"ab")]


def test_a_partial_frame_holds_no_more_than_its_bytes() -> None:
    data = client_frame(BINARY, bytes(60_000))[:-1]
    parser = parser_with()
    tracemalloc.start()
    try:
        for at in range(0, len(data), 7):
            list(parser.feed(data[at : at + 7]))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert parser.is_incomplete
    assert held < 80_000


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=4096), max_size=20), st.integers(1, 400), st.booleans())
def test_any_bytes_hold_at_most_the_limits(reads: list[bytes], repeat: int, deflated: bool) -> None:
    limits = LimitsSection(message_size=ByteSize(4096))
    parser = FrameParser(limits, Inflater(DeflateParameters()) if deflated else None)
    tracemalloc.start()
    try:
        for data in reads * repeat:
            refusal(parser, data)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 3 * 4096 + 48 * 1024
