"""Text is UTF-8, and what is not is refused as soon as it can be known."""

from __future__ import annotations

import pytest

from wsmesh.config.sections import LimitsSection
from wsmesh.errors import ProtocolViolation
from wsmesh.wire.frames import BINARY, CONTINUATION, TEXT, FrameParser, client_frame

INVALID = [
    b"\xff",
    b"\x80",
    b"a\xc0\xafb",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"cut\xe2\x82",
]


def fed_until_refused(parser: FrameParser, data: bytes) -> tuple[int, int]:
    """Feed byte by byte; return how many it took until the text was refused, and the code."""
    for count, at in enumerate(range(len(data)), start=1):
        try:
            assert list(parser.feed(data[at : at + 1])) == []
        except ProtocolViolation as violation:
            return count, violation.code
    raise AssertionError("expected a violation")


@pytest.mark.parametrize("size", [0, 200, 5000])
@pytest.mark.parametrize("text", INVALID)
def test_a_whole_text_that_is_not_utf8_is_1007(text: bytes, size: int) -> None:
    parser = FrameParser(LimitsSection(), None)

    with pytest.raises(ProtocolViolation) as caught:
        list(parser.feed(client_frame(TEXT, b"x" * size + text)))
    assert caught.value.code == 1007


@pytest.mark.parametrize("text", INVALID)
def test_the_same_bytes_are_fine_in_a_binary_message(text: bytes) -> None:
    parser = FrameParser(LimitsSection(), None)

    assert list(parser.feed(client_frame(BINARY, text))) == [(BINARY, text)]


@pytest.mark.parametrize("text", INVALID)
def test_a_fragmented_text_that_is_not_utf8_is_1007(text: bytes) -> None:
    parser = FrameParser(LimitsSection(), None)
    frames = b"".join(
        client_frame(TEXT if not at else CONTINUATION, text[at : at + 1], fin=False)
        for at in range(len(text))
    )

    with pytest.raises(ProtocolViolation) as caught:
        list(parser.feed(frames + client_frame(CONTINUATION, b"")))
    assert caught.value.code == 1007


def test_a_long_frame_is_refused_at_the_first_byte_that_cannot_be_text() -> None:
    parser = FrameParser(LimitsSection(), None)
    before = "κόσμε".encode() + b"\xf4"
    text = before + b"\x90" + b"x" * 1000
    head = len(client_frame(TEXT, text)) - len(text)

    count, code = fed_until_refused(parser, client_frame(TEXT, text))
    assert (count, code) == (head + len(before) + 1, 1007)


def test_a_fragment_is_refused_before_the_message_is_complete() -> None:
    parser = FrameParser(LimitsSection(), None)

    assert list(parser.feed(client_frame(TEXT, "κόσμε".encode() + b"\xf4", fin=False))) == []
    with pytest.raises(ProtocolViolation) as caught:
        list(parser.feed(client_frame(CONTINUATION, b"\x90", fin=False)))
    assert caught.value.code == 1007
