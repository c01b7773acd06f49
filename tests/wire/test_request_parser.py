"""Requests: what is understood, in any pieces, one after the other, and what is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.config.sections import LimitsSection
from wsmesh.wire.http import BadRequest, Request, RequestParser, response

UPGRADE = (
    b"GET /connection/websocket?cf_ws_frame_ping_pong=true HTTP/1.1\r\n"
    b"Host: localhost:8000\r\n"
    b"Connection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"\r\n"
)
POST = b"POST /api/publish HTTP/1.1\r\nHost: a\r\nX-API-Key: k\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"POST /api HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
)


def request_of(data: bytes) -> Request:
    request = RequestParser(LimitsSection()).feed(data)
    assert request is not None
    return request


def test_an_upgrade_is_read_with_its_query_and_headers_in_order() -> None:
    request = request_of(UPGRADE)

    assert (request.method, request.path) == ("GET", "/connection/websocket")
    assert request.query == "cf_ws_frame_ping_pong=true"
    assert request.target == "/connection/websocket?cf_ws_frame_ping_pong=true"
    assert request.http_version == "1.1"
    assert request.headers[:2] == (
        ("host", "localhost:8000"),
        ("connection", "keep-alive, Upgrade"),
    )
    assert request.is_upgrade
    assert not request.keep_alive


def test_bytes_after_an_upgrade_are_frames_and_never_a_second_request() -> None:
    parser = RequestParser(LimitsSection())
    request = parser.feed(UPGRADE + POST)

    assert request is not None
    assert request.rest == POST
    assert parser.feed(b"") is None


@pytest.mark.parametrize("data", [UPGRADE, POST, CHUNKED], ids=["upgrade", "length", "chunked"])
def test_a_request_is_the_same_in_any_pieces(data: bytes) -> None:
    whole = request_of(data)
    for size in (1, 2, 3, 7, 50):
        parser = RequestParser(LimitsSection())
        found = [parser.feed(data[at : at + size]) for at in range(0, len(data), size)]
        assert found == [None] * (len(found) - 1) + [whole]


@pytest.mark.parametrize("data", [POST, CHUNKED], ids=["length", "chunked"])
def test_a_body_is_collected_before_the_request_is_returned(data: bytes) -> None:
    assert request_of(data).body == b"hello"


@given(st.lists(st.sampled_from((POST, CHUNKED)), max_size=4), st.integers(1, 400))
def test_pipelined_requests_come_out_one_by_one(requests: list[bytes], size: int) -> None:
    data = b"".join(requests) + UPGRADE + b"\x81\x80"
    parser = RequestParser(LimitsSection())
    found: list[Request] = []
    for at in range(0, len(data), size):
        request = parser.feed(data[at : at + size])
        while request is not None and not (found and found[-1].is_upgrade):
            found.append(request)
            request = parser.feed(b"")

    assert [request.body for request in found] == [b"hello"] * len(requests) + [b""]
    assert found[-1].is_upgrade


def test_header_looks_fields_up_by_their_lower_case_name() -> None:
    request = request_of(b"GET / HTTP/1.1\r\nHOST: a\r\nX-One:  1 \t\r\nx-one: 2\r\nE:\r\n\r\n")

    assert request.header("x-one") == "1"
    assert request.header_values("x-one") == ["1", "2"]
    assert request.header("e") == ""
    assert request.header("absent") is None
    assert request.header_values("absent") == []


@pytest.mark.parametrize(
    ("start", "fields", "keeps"),
    [
        ("GET / HTTP/1.1", "", True),
        ("GET / HTTP/1.1", "Connection: close\r\n", False),
        ("GET / HTTP/1.1", "Connection: foo\r\nConnection: Close\r\n", False),
        ("GET / HTTP/1.0", "", False),
        ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", True),
    ],
)
def test_keep_alive_follows_the_version_and_the_connection_header(
    start: str, fields: str, keeps: bool
) -> None:
    request = request_of(f"{start}\r\nHost: a\r\n{fields}\r\n".encode())

    assert request.keep_alive is keeps


def test_an_upgrade_to_something_else_is_an_ordinary_request() -> None:
    request = request_of(
        b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    )

    assert not request.is_upgrade
    assert request.keep_alive


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a%2Fb?x=1?y", "/a%2Fb", "x=1?y"),
        ("//two", "//two", ""),
        ("http://a/b?c", "/b", "c"),
        ("HTTP://A", "/", ""),
        ("http://a?c", "/", "c"),
    ],
)
def test_a_target_has_a_path_and_a_query(target: str, path: str, query: str) -> None:
    request = request_of(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    assert (request.target, request.path, request.query) == (target, path, query)


def test_empty_lines_before_a_request_are_skipped() -> None:
    assert request_of(b"\r\n\r\n" + POST).body == b"hello"


def test_a_refused_connection_stays_refused() -> None:
    parser = RequestParser(LimitsSection())
    for data in (b"get / HTTP/1.1\r\n\r\n", POST, b""):
        with pytest.raises(BadRequest) as caught:
            parser.feed(data)
        assert caught.value.status == 400


def test_an_answer_has_its_length_and_says_whether_the_connection_stays() -> None:
    assert response(200, [("Content-Type", "text/plain")], b"ok\n", keep_alive=True) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 3\r\nConnection: keep-alive\r\n\r\nok\n"
    )
    assert response(503, (), b"", keep_alive=False) == (
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    assert b"Content-Length" not in response(204, (), b"", keep_alive=True)
    assert response(200, (), b"ok\n", keep_alive=True, is_head=True) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n"
    )


@pytest.mark.parametrize("header", [("A", "b\r\nC: d"), ("A\n", "b"), ("A", "\0"), ("A: b", "c")])
def test_an_answers_header_cannot_break_out_of_its_line(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="one line"):
        response(200, [header], b"", keep_alive=True)


@given(st.lists(st.binary(max_size=60), max_size=10), st.sampled_from((b"", UPGRADE[:80], CHUNKED)))
def test_any_bytes_are_a_request_a_refusal_or_more_wanted(reads: list[bytes], start: bytes) -> None:
    def outcome(pieces: list[bytes]) -> tuple[list[Request], int]:
        parser = RequestParser(LimitsSection())
        found: list[Request] = []
        try:
            for piece in pieces:
                request = parser.feed(piece)
                while request is not None:
                    found.append(request)
                    request = parser.feed(b"")
        except BadRequest as refusal:
            return found, refusal.status
        return found, 0

    split, whole = outcome([start, *reads]), outcome([start + b"".join(reads)])
    if not any(request.is_upgrade for request in split[0]):
        assert split == whole
    assert whole[1] in (0, 400, 413, 414, 417, 431, 501, 505)
