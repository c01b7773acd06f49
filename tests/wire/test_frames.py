"""Frames as they are on the wire: RFC examples, sizes, and whole messages read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.config.sections import LimitsSection
from wsmesh.wire.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    FrameParser,
    client_frame,
    close_frame,
    compressed_text_frame,
    frame,
    text_frame,
)
from wsmesh.wire.mask import mask


def events(*reads: bytes) -> list[object]:
    parser = FrameParser(LimitsSection(), None)
    return [event for read in reads for event in parser.feed(read)]


def test_the_masked_hello_of_rfc_6455_is_understood() -> None:
    assert events(bytes.fromhex("818537fa213d7f9f4d5158")) == [(TEXT, b"Hello")]


def test_the_unmasked_examples_of_rfc_6455_are_produced() -> None:
    assert text_frame(b"Hello") == bytes.fromhex("810548656c6c6f")
    assert frame(PING, b"Hello") == bytes.fromhex("890548656c6c6f")
    assert frame(BINARY, bytes(256))[:4] == bytes.fromhex("827e0100")
    assert frame(BINARY, bytes(65536))[:10] == bytes.fromhex("827f0000000000010000")


def test_the_masked_pong_of_rfc_6455_is_produced_and_understood() -> None:
    pong = bytes.fromhex("8a8537fa213d7f9f4d5158")

    assert client_frame(PONG, b"Hello") == pong
    assert events(pong) == [(PONG, b"Hello")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
def test_a_text_frame_declares_its_size_in_the_shortest_form(size: int) -> None:
    head = {0: 2, 1: 2, 125: 2, 126: 4, 127: 4, 65535: 4, 65536: 10}[size]
    payload = b"x" * size

    assert text_frame(payload) == frame(TEXT, payload)
    assert len(text_frame(payload)) == head + size
    assert client_frame(TEXT, payload)[1] & 0x7F == text_frame(payload)[1]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 128, 65535, 65536])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_of_any_size_comes_out_as_it_went_in(kind: int, size: int) -> None:
    payload = (b"0123456" * (size // 7 + 1))[:size]

    assert events(client_frame(kind, payload)) == [(kind, payload)]


def test_text_may_be_any_utf8() -> None:
    payload = "κόσμε 🚀 \U0010ffff \0".encode()

    assert events(client_frame(TEXT, payload)) == [(TEXT, payload)]


def test_several_frames_in_one_read_come_out_in_order() -> None:
    read = client_frame(TEXT, b"a") + client_frame(PING, b"") + client_frame(BINARY, b"\xff")

    assert events(read) == [(TEXT, b"a"), (PING, b""), (BINARY, b"\xff")]


def test_fragments_are_joined_around_control_frames() -> None:
    read = (
        client_frame(TEXT, b"Hel", fin=False)
        + client_frame(PING, b"?")
        + client_frame(CONTINUATION, b"", fin=False)
        + client_frame(CONTINUATION, b"lo")
        + client_frame(TEXT, b"!")
    )

    assert events(read) == [(PING, b"?"), (TEXT, b"Hello"), (TEXT, b"!")]


def test_a_character_may_be_split_between_fragments() -> None:
    read = client_frame(TEXT, b"\xe2\x82", fin=False) + client_frame(CONTINUATION, b"\xac")

    assert events(read) == [(TEXT, "€".encode())]


def test_incomplete_says_whether_more_has_to_come() -> None:
    parser = FrameParser(LimitsSection(), None)
    fragment = client_frame(TEXT, b"a", fin=False)
    held = []
    for read in (
        client_frame(TEXT, b"whole"), fragment[:1], fragment[1:6], fragment[6:],
        client_frame(PING, b""), client_frame(CONTINUATION, b""), client_frame(TEXT, "é".encode()),
    ):  # fmt: skip
        list(parser.feed(read))
        held.append(parser.is_incomplete)

    assert held == [False, True, True, True, True, False, False]


def test_nothing_is_parsed_after_a_close_frame() -> None:
    parser = FrameParser(LimitsSection(), None)
    close = client_frame(CLOSE, b"\x03\xe8bye")

    assert list(parser.feed(close + client_frame(TEXT, b"late"))) == [(CLOSE, (1000, "bye"))]
    assert list(parser.feed(client_frame(TEXT, b"later"))) == []
    assert not parser.is_incomplete


def test_a_close_frame_without_code_is_1005() -> None:
    assert events(client_frame(CLOSE, b"")) == [(CLOSE, (1005, ""))]


def test_a_close_reason_is_cut_between_characters() -> None:
    data = close_frame(1001, "€" * 42)

    assert data[1] == 2 + 41 * 3
    assert data[4:].decode() == "€" * 41
    assert len(close_frame(1001, "x" * 200)) == 2 + 125


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70000])
def test_a_close_code_that_may_not_be_sent_is_a_mistake_of_the_caller(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        close_frame(code, "")


def test_compressed_frames_are_marked_by_rsv1() -> None:
    assert compressed_text_frame(b"abc") == b"\xc1\x03abc" == frame(TEXT, b"abc", rsv1=True)


@given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
def test_masking_is_the_exclusive_or_of_rfc_6455(payload: bytes, key: bytes) -> None:
    assert mask(payload, key) == bytes(b ^ key[i % 4] for i, b in enumerate(payload))
