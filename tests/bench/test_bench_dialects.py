"""What the load generator writes is what a server reads, and its checks notice what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.dialects import Centrifugo, SocketIO, hs256_token
from bench.load.frames import client_frame, split_frames
from bench.servers.minimal import answer

CENTRIFUGO = Centrifugo("127.0.0.1:8000")


def unmasked(frame: bytes) -> bytes:
    """The frame as a server would write it."""
    second = frame[1] & 0x7F
    at = 2 + {126: 2, 127: 8}.get(second, 0)
    key, masked = frame[at : at + 4], frame[at + 4 :]
    payload = bytes(byte ^ key[i % 4] for i, byte in enumerate(masked))
    return bytes((frame[0], second)) + frame[2:at] + payload


def server_frame(payload: str) -> bytes:
    return unmasked(client_frame(payload.encode()))


@given(payloads=st.lists(st.binary(max_size=300) | st.just(b"x" * 70_000), max_size=4),
       cut=st.integers(0, 10))
def test_frames_survive_the_way_there_and_an_unfinished_one_waits(
    payloads: list[bytes], cut: int
) -> None:
    whole = b"".join(unmasked(client_frame(payload, 0x2)) for payload in payloads)
    tail = unmasked(client_frame(b"unfinished"))[:cut]

    frames, rest = split_frames(whole + tail)

    assert frames == [(0x2, payload) for payload in payloads]
    assert rest == tail


def test_a_masked_frame_from_a_server_is_refused() -> None:
    with pytest.raises(ValueError, match="unmasked"):
        split_frames(client_frame(b"hello"))


def test_the_minimal_server_passes_the_check_of_the_exchange() -> None:
    ((_, request),), _ = split_frames(unmasked(CENTRIFUGO.publish("news", "x" * 62)))
    received = b"".join(server_frame(message) for message in answer(request))

    CENTRIFUGO.check(received, "news", "x" * 62)
    assert all(mark in received for mark in CENTRIFUGO.marks)


@pytest.mark.parametrize("spoil", [
    pytest.param(lambda push, reply: push + push + reply, id="duplicate"),
    pytest.param(lambda push, reply: push, id="no reply"),
    pytest.param(lambda push, reply: reply, id="no publication"),
    pytest.param(lambda push, reply: push.replace(b"xx", b"xy", 1) + reply, id="other data"),
    pytest.param(lambda push, reply: push + reply[:-1], id="unfinished"),
])  # fmt: skip
def test_the_check_notices_a_wrong_exchange(spoil) -> None:  # type: ignore[no-untyped-def]
    ((_, request),), _ = split_frames(unmasked(CENTRIFUGO.publish("news", "xx")))
    push, reply = (server_frame(message) for message in answer(request))

    with pytest.raises(ValueError, match="expected one publication"):
        CENTRIFUGO.check(spoil(push, reply), "news", "xx")


def test_publication_and_reply_may_share_a_frame_and_pings_do_not_count() -> None:
    ((_, request),), _ = split_frames(unmasked(CENTRIFUGO.publish("news", "xx")))
    received = server_frame("\n".join(answer(request))) + CENTRIFUGO.ping

    CENTRIFUGO.check(received, "news", "xx")


def test_socket_io_is_checked_for_the_event_and_its_acknowledgement() -> None:
    dialect = SocketIO("127.0.0.1:8000")
    event = '42["publication",{"channel":"c","data":"xx"}]'

    dialect.check(server_frame(event) + server_frame("431[{}]"), "c", "xx")
    with pytest.raises(ValueError, match="acknowledgement"):
        dialect.check(server_frame(event), "c", "xx")


def test_tokens_are_signed_as_rfc_7515_says() -> None:
    """Signature computed independently with openssl dgst -sha256 -hmac."""
    token = hs256_token("k" * 32, "user-1", 1_700_000_000)

    assert token == (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
        ".eyJzdWIiOiJ1c2VyLTEiLCJleHAiOjE3MDAwMDAwMDB9"
        ".ll9QpkRggmr-3m_ZeM_AAA9JGIclpyk3EGWjunfTJIc"
    )
