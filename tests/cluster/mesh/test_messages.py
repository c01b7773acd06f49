"""Mesh messages: what is said arrives, what later releases say is skipped, the rest is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from wsmesh.cluster.mesh import messages

SAID = (
    messages.Challenge("a", 1, "n"),
    messages.Proof("b", 2, "m", "mac"),
    messages.Welcome("mac"),
    messages.Probe(7),
    messages.Ack(7),
    messages.ProbeRequest(8, "c"),
    messages.ProbeResult(8, "c", True),
    messages.Load(4, 10, 0.5, 1.0, "alive"),
    messages.Accused("c"),
    messages.ViewChanged(3),
    messages.Call(1, "disconnect", Raw(b'{"user":"u"}')),
    messages.Answer(1, Raw(b"{}")),
    messages.Answer(1, error="no"),
)


@pytest.mark.parametrize("message", SAID, ids=lambda each: type(each).__name__)
def test_a_message_arrives_as_it_was_said(message: messages.Message) -> None:
    assert messages.decode(messages.encode(message)) == message


def test_kinds_and_fields_of_a_later_release_are_skipped() -> None:
    assert messages.decode(b'{"kind":"rumour","what":[1,2]}') is None
    assert messages.decode(b'{"kind":"ack","number":3,"mood":"good"}') == messages.Ack(3)


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"kind":3}', b'{"kind":"ack"}', b"[" * 100_000, b"\xff"]
)
def test_what_no_release_says_is_refused(text: bytes) -> None:
    with pytest.raises(messages.MalformedMessage):
        messages.decode(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(text: bytes) -> None:
    try:
        messages.decode(text)
    except messages.MalformedMessage:
        return
