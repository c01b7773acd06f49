"""Compressed messages: bounded, fragmented in any way, and readable by other implementations."""

from __future__ import annotations

import os
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.config.sections import LimitsSection
from wsmesh.config.values import ByteSize
from wsmesh.errors import ProtocolViolation
from wsmesh.wire.deflate import (
    MAX_STREAMS,
    TAIL,
    WINDOW_BITS,
    DeflateParameters,
    Deflater,
    Inflater,
)
from wsmesh.wire.frames import BINARY, CONTINUATION, PING, TEXT, FrameParser, client_frame

LIMIT = 64 * 1024


def parser() -> FrameParser:
    return FrameParser(LimitsSection(message_size=ByteSize(LIMIT)), Inflater(DeflateParameters()))


def in_fragments(payload: bytes, size: int, kind: int = BINARY) -> bytes:
    """The frames of one compressed message, `size` bytes of payload in each."""
    starts = range(0, max(1, len(payload)), size)
    return b"".join(
        client_frame(
            CONTINUATION if at else kind,
            payload[at : at + size],
            fin=at == starts[-1],
            rsv1=not at,
        )
        for at in starts
    )


def refusal(data: bytes) -> ProtocolViolation:
    with pytest.raises(ProtocolViolation) as caught:
        list(parser().feed(data))
    return caught.value


def test_the_examples_of_rfc_7692_are_understood() -> None:
    hello = bytes.fromhex("f248cdc9c90700")
    frames = [
        client_frame(TEXT, hello, rsv1=True),
        in_fragments(hello, 3, TEXT),
        client_frame(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv1=True),  # stored
        client_frame(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv1=True),  # BFINAL
        client_frame(TEXT, bytes.fromhex("f24805000000ffffcac9c90700"), rsv1=True),
    ]

    assert [list(parser().feed(data)) for data in frames] == [[(TEXT, b"Hello")]] * 5


def test_plain_and_compressed_messages_may_alternate() -> None:
    reads = [
        client_frame(TEXT, b"plain"),
        client_frame(TEXT, Deflater(1).deflate(b"deflated"), rsv1=True),
        client_frame(TEXT, b"", rsv1=True),
        client_frame(TEXT, Deflater(9).deflate(b""), rsv1=True),
        in_fragments(b"", 1, TEXT),
    ]
    ours = parser()

    texts = [payload for data in reads for _, payload in ours.feed(data)]
    assert texts == [b"plain", b"deflated", b"", b"", b""]


@given(st.binary(max_size=2000), st.integers(1, 9), st.integers(1, 50))
def test_what_is_deflated_is_inflated_again_however_it_is_fragmented(
    payload: bytes, level: int, size: int
) -> None:
    deflated = Deflater(level).deflate(payload)
    size = max(size, len(deflated) // 100)

    assert list(parser().feed(in_fragments(deflated, size))) == [(BINARY, payload)]


def test_control_frames_may_come_between_compressed_fragments() -> None:
    deflated = Deflater(1).deflate(b"together")
    data = (
        client_frame(TEXT, deflated[:3], fin=False, rsv1=True)
        + client_frame(PING, b"?")
        + client_frame(CONTINUATION, deflated[3:])
    )

    assert list(parser().feed(data)) == [(PING, b"?"), (TEXT, b"together")]


@pytest.mark.parametrize("content", [bytes(LIMIT), os.urandom(LIMIT)], ids=["zeros", "random"])
@pytest.mark.parametrize("size", [1 << 20, 1000])
def test_a_message_of_exactly_the_limit_passes_and_one_byte_more_is_1009(
    content: bytes, size: int
) -> None:
    fits = in_fragments(Deflater(1).deflate(content), size)
    assert list(parser().feed(fits)) == [(BINARY, content)]

    violation = refusal(in_fragments(Deflater(1).deflate(content + b"x"), size))
    assert (violation.code, violation.limit) == (1009, "inflate_limit")


@pytest.mark.parametrize("size", [1 << 20, 1000], ids=["one frame", "fragments"])
def test_a_bomb_costs_little_more_than_the_limit(size: int) -> None:
    data = in_fragments(Deflater(9).deflate(bytes(16 << 20)), size)
    assert 15_000 < len(data) < 20_000
    tracemalloc.start()
    try:
        violation = refusal(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert (violation.code, violation.limit) == (1009, "inflate_limit")
    assert peak < 4 << 20


def test_compressed_bytes_that_inflate_to_nothing_are_bounded_too() -> None:
    head = b"\xc2\xff" + (LIMIT + LIMIT // 8 + 65).to_bytes(8, "big")

    assert refusal(head).limit == "message_size"


@pytest.mark.parametrize("payload", [b"\xff\xff", b"\x07", b"\x00\x01\x00\x00\x00x", b"\x06\x00"])
def test_what_is_not_deflate_is_1007(payload: bytes) -> None:
    assert refusal(client_frame(BINARY, payload, rsv1=True)).code == 1007


def test_compressed_text_that_is_not_utf8_is_1007_at_its_frame() -> None:
    stream = zlib.compressobj(1, zlib.DEFLATED, -15)
    first = stream.compress(b"ok \xff") + stream.flush(zlib.Z_SYNC_FLUSH)

    assert refusal(client_frame(TEXT, first, fin=False, rsv1=True)).code == 1007


def finished(text: bytes) -> bytes:
    """A deflate stream with an end of its own."""
    stream = zlib.compressobj(1, zlib.DEFLATED, -15)
    return stream.compress(text) + stream.flush(zlib.Z_FINISH)


def test_a_few_deflate_streams_make_a_message_and_many_are_1008() -> None:
    few = b"".join(map(finished, (b"a", b"b", b"c"))) + b"\0"
    ours = parser()
    for _ in range(2 * MAX_STREAMS):
        assert list(ours.feed(client_frame(TEXT, few, rsv1=True))) == [(TEXT, b"abc")]

    violation = refusal(client_frame(TEXT, finished(b"") * (MAX_STREAMS + 1), rsv1=True))
    assert (violation.code, violation.limit) == (1008, "inflate_limit")


def test_the_streams_of_a_message_share_its_limit() -> None:
    fits = finished(bytes(LIMIT - 10)) + finished(bytes(10)) + b"\0"
    assert list(parser().feed(client_frame(BINARY, fits, rsv1=True))) == [(BINARY, bytes(LIMIT))]

    over = finished(bytes(LIMIT - 10)) + finished(bytes(11)) + b"\0"
    with pytest.raises(ProtocolViolation, match="1009"):
        Inflater(DeflateParameters()).inflate(over, LIMIT)


def test_what_is_deflated_needs_no_window_larger_than_agreed() -> None:
    payload = os.urandom(1 << WINDOW_BITS) * 4  # repeats just at the edge of the window
    for further in (b"", os.urandom(500)):
        deflated = Deflater(9).deflate((payload + further) * 3)
        stream = zlib.decompressobj(-WINDOW_BITS)
        assert stream.decompress(deflated + TAIL) == (payload + further) * 3
