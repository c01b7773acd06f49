"""What breaks RFC 6455 ends the connection with the right code, and costs no earlier message."""

from __future__ import annotations

import pytest

from wsmesh.config.sections import LimitsSection
from wsmesh.errors import ProtocolViolation
from wsmesh.wire.deflate import DeflateParameters, Inflater
from wsmesh.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameParser,
    client_frame,
    frame,
)

KEY = b"\x01\x02\x03\x04"
START = client_frame(TEXT, b"start", fin=False)


def outcome(parser: FrameParser, data: bytes) -> tuple[list[object], int]:
    """Events, and the code of the violation after them, 0 without one."""
    events: list[object] = []
    try:
        for event in parser.feed(data):
            events.append(event)
    except ProtocolViolation as violation:
        return events, violation.code
    return events, 0


def code_of(data: bytes) -> int:
    return outcome(FrameParser(LimitsSection(), None), data)[1]


RESERVED = [
    pytest.param(client_frame(opcode, b""), id=f"opcode {opcode}")
    for opcode in (*range(3, 8), *range(11, 16))
]
BITS = [
    pytest.param(client_frame(TEXT | bit, b"x"), id=f"bit {bit:#x}") for bit in (0x10, 0x20, 0x40)
]
FRAMING = [
    pytest.param(frame(TEXT, b"x"), id="unmasked text"),
    pytest.param(frame(PING, b""), id="unmasked ping"),
    pytest.param(client_frame(CONTINUATION, b"x"), id="continuation of nothing"),
    pytest.param(START + client_frame(TEXT, b"x"), id="text within a message"),
    pytest.param(START + client_frame(BINARY, b"x"), id="binary within a message"),
    pytest.param(START + client_frame(CONTINUATION | 0x40, b"x"), id="rsv1 on a continuation"),
    pytest.param(client_frame(PING, b"", fin=False), id="fragmented ping"),
    pytest.param(client_frame(CLOSE, b"", fin=False), id="fragmented close"),
    pytest.param(client_frame(PING, bytes(126)), id="ping of 126 bytes"),
    pytest.param(client_frame(PONG, bytes(126)), id="pong of 126 bytes"),
    pytest.param(client_frame(CLOSE, b"\x03\xe8" + bytes(124)), id="close of 126 bytes"),
    pytest.param(client_frame(CLOSE, b"\x03"), id="close of 1 byte"),
    pytest.param(b"\x81\xfe\x00\x7d" + KEY + bytes(125), id="125 in 16 bits"),
    pytest.param(b"\x81\xff" + (65535).to_bytes(8, "big") + KEY, id="65535 in 64 bits"),
    pytest.param(b"\x81\xff" + (1 << 63).to_bytes(8, "big") + KEY, id="top bit of the length"),
]


@pytest.mark.parametrize("data", RESERVED + BITS + FRAMING)
def test_a_wrong_frame_is_1002(data: bytes) -> None:
    assert code_of(data) == 1002


@pytest.mark.parametrize("data", RESERVED + BITS + FRAMING)
def test_a_wrong_frame_costs_none_of_the_messages_before_it(data: bytes) -> None:
    before = client_frame(TEXT, b"one") + client_frame(BINARY, b"two")
    parser = FrameParser(LimitsSection(), None)

    assert outcome(parser, before + data) == ([(TEXT, b"one"), (BINARY, b"two")], 1002)


def test_nothing_is_parsed_after_a_violation() -> None:
    parser = FrameParser(LimitsSection(), None)

    assert outcome(parser, b"\x83\x80" + KEY + client_frame(TEXT, b"same read")) == ([], 1002)
    assert outcome(parser, client_frame(TEXT, b"next read")) == ([], 0)
    assert outcome(parser, b"\x83\x80") == ([], 0)
    assert not parser.is_incomplete


@pytest.mark.parametrize(
    "start",
    [b"\x83\x80", b"\x81\x00", b"\xf1\x80", b"\x09\x80", b"\x89\xfe", b"\x81\xfe\x00\x00"],
)
def test_a_wrong_frame_is_refused_before_it_is_complete(start: bytes) -> None:
    assert code_of(start) == 1002


@pytest.mark.parametrize("opcode", [CONTINUATION, PING, CLOSE])
def test_only_the_first_frame_of_a_message_may_be_marked_compressed(opcode: int) -> None:
    parser = FrameParser(LimitsSection(), Inflater(DeflateParameters()))
    before = b"" if opcode != CONTINUATION else START

    assert outcome(parser, before + client_frame(opcode, b"", rsv1=True))[1] == 1002


INVALID_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", INVALID_CODES)
def test_a_close_code_that_nobody_may_send_is_1002(code: int) -> None:
    assert code_of(client_frame(CLOSE, code.to_bytes(2, "big"))) == 1002


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999])
def test_a_close_code_that_may_be_sent_is_handed_out(code: int) -> None:
    parser = FrameParser(LimitsSection(), None)
    close = client_frame(CLOSE, code.to_bytes(2, "big") + "é".encode())

    assert outcome(parser, close) == ([(CLOSE, (code, "é"))], 0)


def test_a_close_reason_that_is_not_utf8_is_1007() -> None:
    assert code_of(client_frame(CLOSE, b"\x03\xe8\xff")) == 1007
