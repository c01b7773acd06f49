"""What a node elsewhere is told of the client."""

from __future__ import annotations

import pytest

from wsmesh.config.limits import LimitsSection
from wsmesh.gateway.forwarding import forwarded, with_headers
from wsmesh.wire.http import RequestParser

HEAD = (
    b"GET /a HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: https\r\n"
    b"Via: a\r\n\r\n"
)


def fields(head: bytes) -> dict[str, list[str]]:
    request = RequestParser(LimitsSection()).feed(head)
    assert request is not None
    return {name: request.header_values(name) for name, _ in request.headers}


def test_what_a_stranger_says_of_itself_is_replaced_by_what_is_seen() -> None:
    assert fields(forwarded(HEAD, "9.9.9.9", is_secure=False, is_trusted=False)) == {
        "host": ["x"], "x-forwarded-for": ["9.9.9.9"], "x-forwarded-proto": ["http"],
    }


def test_what_a_trusted_proxy_says_stays_and_its_address_comes_last() -> None:
    told = fields(forwarded(HEAD, "10.0.0.1", is_secure=True, is_trusted=True))
    assert told["x-forwarded-for"] == ["6.6.6.6", "10.0.0.1"]
    assert told["x-forwarded-proto"] == ["https"]
    assert told["via"] == ["a"]


def test_bytes_after_the_head_stay() -> None:
    rest = b"\x81\x00\r\n\r\nX-Real-IP: y"
    sent = forwarded(HEAD + rest, "::1", is_secure=True, is_trusted=False)
    assert sent.endswith(b"X-Forwarded-Proto: https\r\n\r\n" + rest)


def test_a_unix_socket_has_no_address() -> None:
    assert b"Forwarded-For" not in forwarded(HEAD, "", is_secure=False, is_trusted=False)


@pytest.mark.parametrize("rest", [b"", b"Upgrade: websocket\r\n\r\n\x81\x00"])
def test_fields_for_the_answer_come_behind_its_status_line(rest: bytes) -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\n" + rest
    assert with_headers(answer, [("Set-Cookie", "a=b")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nSet-Cookie: a=b\r\n" + rest
    )
    assert with_headers(answer, []) == answer
    assert with_headers(b"", [("a", "b")]) == b""
