"""Any bytes, split anywhere: an event, a violation with a right code, or more input wanted."""

from __future__ import annotations

import os
import zlib

from hypothesis import example, given
from hypothesis import strategies as st

from wsmesh.config.sections import LimitsSection
from wsmesh.config.values import ByteSize
from wsmesh.errors import ProtocolViolation
from wsmesh.wire.close import is_sendable
from wsmesh.wire.deflate import DeflateParameters, Deflater, Inflater
from wsmesh.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameParser,
    client_frame,
)

LIMITS = LimitsSection(message_size=ByteSize(300), fragments=4)
CODES = {1002: {""}, 1007: {""}, 1008: {"fragments", "inflate_limit"},
         1009: {"message_size", "inflate_limit"}}  # fmt: skip

payloads = st.one_of(
    st.binary(max_size=8),
    st.text(max_size=100).map(str.encode),
    st.integers(120, 310).map(lambda size: b"y" * size),
    st.binary(max_size=200).map(Deflater(1).deflate),
    st.integers(250, 5000).map(lambda size: Deflater(1).deflate(bytes(size))),
    st.integers(0, 5000).map(lambda code: code.to_bytes(2, "big")),
)
frames = st.builds(
    client_frame,
    st.sampled_from((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG, 3, 0x21)),
    payloads,
    st.binary(min_size=4, max_size=4),
    fin=st.booleans(),
    rsv1=st.booleans(),
)
good = st.builds(client_frame, st.sampled_from((TEXT, PING)), st.text(max_size=30).map(str.encode))
streams = st.lists(st.one_of(frames, good, good, st.binary(max_size=12)), max_size=12).map(b"".join)


def new_parser(deflated: bool) -> FrameParser:
    return FrameParser(LIMITS, Inflater(DeflateParameters()) if deflated else None)


def outcome(reads: list[bytes], deflated: bool) -> tuple[list[object], object, bool]:
    """Events, how it ended, and whether more input is wanted; checks each on the way."""
    parser = new_parser(deflated)
    events: list[object] = []
    end: object = None
    for data in reads:
        try:
            for kind, payload in parser.feed(data):
                assert end is None, "nothing comes after the end"
                check(kind, payload)
                events.append((kind, payload))
                end = CLOSE if kind == CLOSE else None
        except ProtocolViolation as violation:
            check_violation(violation, end)
            end = violation.code
    assert not (end and parser.is_incomplete)
    return events, end, parser.is_incomplete


def check_violation(violation: ProtocolViolation, end: object) -> None:
    assert end is None, "nothing comes after the end"
    assert violation.limit in CODES[violation.code]
    assert len(violation.reason.encode()) <= 123


def check(kind: int, payload: object) -> None:
    match kind, payload:
        case (1, bytes(text)):
            assert len(text) <= LIMITS.message_size
            text.decode()
        case (2, bytes(data)):
            assert len(data) <= LIMITS.message_size
        case (8, (int(code), str(reason))):
            assert code == 1005 or is_sendable(code)
            assert len(reason.encode()) <= 123
        case (9 | 10, bytes(data)):
            assert len(data) <= 125
        case _:
            raise AssertionError(f"unexpected event {kind} {payload!r}")


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted(cut % (len(data) + 1) for cut in cuts)
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_any_bytes_mean_the_same_however_they_are_split(
    data: bytes, cuts: list[int], deflated: bool
) -> None:
    assert outcome(split(data, cuts), deflated) == outcome([data], deflated)


@given(streams, st.lists(st.integers(0, 4000), max_size=8), st.booleans())
@example(client_frame(TEXT, b"", rsv1=True), [3], True)
@example(client_frame(TEXT, b"x" * 301), [4], False)
@example(client_frame(TEXT, b"a") + client_frame(3, b""), [2], False)
def test_almost_valid_streams_mean_the_same_however_they_are_split(
    data: bytes, cuts: list[int], deflated: bool
) -> None:
    assert outcome(split(data, cuts), deflated) == outcome([data], deflated)


@given(streams, st.booleans())
def test_a_stream_means_the_same_byte_by_byte(data: bytes, deflated: bool) -> None:
    assert outcome([bytes((byte,)) for byte in data], deflated) == outcome([data], deflated)


@given(st.lists(good, max_size=5), st.sampled_from((b"\x83\x80", b"\x81\x05", b"\xf1\x80")))
def test_a_violation_never_costs_the_events_before_it(before: list[bytes], wrong: bytes) -> None:
    events, end, _ = outcome([b"".join(before) + wrong], deflated=False)

    assert len(events) == len(before)
    assert end == 1002


def test_random_streams_after_a_compressed_start_raise_nothing_else() -> None:
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = stream.compress(os.urandom(100)) + stream.flush()
    for noise in (b"", b"\0" * 50, b"\xff" * 50, os.urandom(50)):
        outcome([client_frame(BINARY, start + noise, rsv1=True)], deflated=True)
