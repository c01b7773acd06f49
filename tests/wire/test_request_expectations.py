"""`Expect: 100-continue` (RFC 9110 section 10.1.1): who waits, and who is refused."""

from __future__ import annotations

import pytest

from wsmesh.config.sections import LimitsSection
from wsmesh.wire.http import BadRequest, RequestParser

LENGTH = "Content-Length: 5\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
EXPECT = "Expect: 100-continue\r\n"


def head(*fields: str, version: str = "1.1", method: str = "POST") -> bytes:
    return f"{method} /api HTTP/{version}\r\nHost: a\r\n{''.join(fields)}\r\n".encode()


@pytest.mark.parametrize(
    ("framing", "body"), [(LENGTH, b"hello"), (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")]
)
@pytest.mark.parametrize("expect", [EXPECT, "EXPECT:100-Continue\r\n", EXPECT + EXPECT])
def test_a_client_that_holds_its_body_back_waits_once(
    framing: str, body: bytes, expect: str
) -> None:
    parser = RequestParser(LimitsSection())
    data = head(framing, expect)

    assert parser.feed(data[:-1]) is None
    assert parser.take_awaited() is None
    assert parser.feed(data[-1:]) is None
    awaited = parser.take_awaited()
    assert awaited is not None
    assert (awaited.method, awaited.path, awaited.body) == ("POST", "/api", b"")
    assert parser.take_awaited() is None

    assert parser.feed(body[:1]) is None
    assert parser.take_awaited() is None
    request = parser.feed(body[1:])
    assert request is not None
    assert request.body == b"hello"
    assert parser.take_awaited() is None


def test_each_request_of_a_connection_waits_by_itself() -> None:
    parser = RequestParser(LimitsSection())
    for _ in range(2):
        assert parser.feed(head(LENGTH, EXPECT)) is None
        assert parser.take_awaited() is not None
        assert parser.feed(b"hello") is not None
    assert parser.feed(head(LENGTH)) is None
    assert parser.take_awaited() is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(head(LENGTH), id="not asked for"),
        pytest.param(head(LENGTH, EXPECT) + b"h", id="the body has begun"),
        pytest.param(head(LENGTH, EXPECT, version="1.0"), id="HTTP/1.0"),
        pytest.param(head(LENGTH, "Expect: \r\n"), id="nothing expected"),
    ],
)
def test_nobody_waits_otherwise(data: bytes) -> None:
    parser = RequestParser(LimitsSection())

    assert parser.feed(data) is None
    assert parser.take_awaited() is None


@pytest.mark.parametrize("fields", [(EXPECT,), (EXPECT, "Content-Length: 0\r\n")])
def test_a_request_without_a_body_is_complete_whatever_it_expects(fields: tuple[str, ...]) -> None:
    parser = RequestParser(LimitsSection())

    assert parser.feed(head(*fields)) is not None
    assert parser.take_awaited() is None


@pytest.mark.parametrize("value", ["200-ok", "100-continue, tea", "100-continue=yes", "x"])
@pytest.mark.parametrize("framing", ["", LENGTH])
def test_another_expectation_is_refused_with_417(value: str, framing: str) -> None:
    with pytest.raises(BadRequest, match="Expect: 100-continue") as caught:
        RequestParser(LimitsSection()).feed(head(framing, f"Expect: {value}\r\n"))

    assert caught.value.status == 417


def test_another_expectation_of_http_1_0_is_ignored() -> None:
    assert RequestParser(LimitsSection()).feed(head("Expect: tea\r\n", version="1.0")) is not None


def test_a_body_that_is_too_large_is_refused_instead_of_asked_for() -> None:
    parser = RequestParser(LimitsSection())

    with pytest.raises(BadRequest) as caught:
        parser.feed(head("Content-Length: 99999999\r\n", EXPECT))

    assert caught.value.status == 413
    assert parser.take_awaited() is None


@pytest.mark.parametrize(
    ("data", "has_begun", "is_head"),
    [
        (b"", False, False),
        (b"\r\n\r\n", False, False),
        (b"G", True, False),
        (b"HEAD / HT", True, True),
        (b"\r\nHEAD / HTTP/1.1\r\nHost: a\r\n", True, True),
        (b"HEADS / HTTP/1.1\r\n", True, False),
        (head(LENGTH), True, False),
        (head(LENGTH, method="HEAD"), True, True),
        (head(method="HEAD"), False, False),
    ],
)
def test_what_is_incomplete_is_known_as_far_as_it_goes(
    data: bytes, has_begun: bool, is_head: bool
) -> None:
    parser = RequestParser(LimitsSection())
    parser.feed(data)

    assert (parser.has_begun, parser.is_head) == (has_begun, is_head)


@pytest.mark.parametrize(
    ("data", "is_head"),
    [
        (b"HEAD / HTTP/1.1\r\n\r\n", True),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", True),
        (head(CHUNKED, method="HEAD") + b"no size\r\n", True),
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"head / HTTP/1.1\r\n\r\n", False),
    ],
)
def test_a_refused_request_still_tells_whether_its_answer_has_content(
    data: bytes, is_head: bool
) -> None:
    parser = RequestParser(LimitsSection())
    with pytest.raises(BadRequest):
        parser.feed(data)

    assert parser.is_head is is_head
