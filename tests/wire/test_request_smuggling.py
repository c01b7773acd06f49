"""Ambiguous and malformed requests: each gives one refusal, and nothing after it is a request."""

from __future__ import annotations

import pytest

from wsmesh.config.sections import LimitsSection
from wsmesh.wire.http import BadRequest, RequestParser

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"


def fields(*lines: bytes, start: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join((start, b"Host: a", *lines, b"", b""))


def chunks(body: bytes) -> bytes:
    return fields(b"Transfer-Encoding: chunked") + body


UPGRADING = (b"Connection: Upgrade", b"Upgrade: websocket")
MALFORMED = {
    "two lengths": fields(b"Content-Length: 5", b"Content-Length: 6") + b"12345",
    "two equal lengths": fields(b"Content-Length: 5", b"Content-Length: 5") + b"12345",
    "list of lengths": fields(b"Content-Length: 5, 5") + b"12345",
    "length and chunked": fields(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "chunked and length": fields(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "signed length": fields(b"Content-Length: +5") + b"12345",
    "negative length": fields(b"Content-Length: -5") + b"12345",
    "hex length": fields(b"Content-Length: 0x5") + b"12345",
    "empty length": fields(b"Content-Length:"),
    "digits that are not ASCII": fields(b"Content-Length: \xb2") + b"12",
    "endless length": fields(b"Content-Length: " + b"9" * 100),
    "unknown coding": fields(b"Transfer-Encoding: xchunked"),
    "coding before chunked": fields(b"Transfer-Encoding: gzip, chunked"),
    "chunked twice": fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "chunked, identity": fields(b"Transfer-Encoding: chunked, identity"),
    "vertical tab": fields(b"Transfer-Encoding: \x0bchunked"),
    "chunked in 1.0": fields(b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"),
    "space before colon": fields(b"Content-Length : 5") + b"12345",
    "folded line": fields(b"X: a", b" Content-Length: 5"),
    "folded first line": b"GET / HTTP/1.1\r\n X: a\r\nHost: a\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF in the middle": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare LF first": b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare CR": fields(b"X: a\rContent-Length: 5"),
    "NUL in a value": fields(b"X: a\0b"),
    "NUL in a name": fields(b"X\0: a"),
    "control character": fields(b"X: a\x7fb"),
    "empty name": fields(b": a"),
    "no colon": fields(b"Content-Length 5"),
    "two hosts": fields(b"Host: b"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "lower-case method": fields(start=b"get / HTTP/1.1"),
    "unknown method": fields(start=b"SMUGGLE / HTTP/1.1"),
    "no version": fields(start=b"GET /"),
    "two spaces": fields(start=b"GET  / HTTP/1.1"),
    "space at the end": fields(start=b"GET / HTTP/1.1 "),
    "space in the target": fields(start=b"GET /a b HTTP/1.1"),
    "tab for space": fields(start=b"GET\t/\tHTTP/1.1"),
    "target of 8 bits": fields(start=b"GET /\xff HTTP/1.1"),
    "fragment": fields(start=b"GET /#a HTTP/1.1"),
    "no slash": fields(start=b"GET a HTTP/1.1"),
    "asterisk": fields(start=b"GET * HTTP/1.1"),
    "authority of another host": fields(start=b"GET http://b/ HTTP/1.1"),
    "user in the authority": fields(start=b"GET http://u@a/ HTTP/1.1"),
    "lower-case version": fields(start=b"GET / http/1.1"),
    "long version": fields(start=b"GET / HTTP/1.10"),
    "no minor version": fields(start=b"GET / HTTP/1"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n\r\n",
    "chunk size with a sign": chunks(b"+5\r\n12345\r\n0\r\n\r\n"),
    "chunk size with 0x": chunks(b"0x5\r\n12345\r\n0\r\n\r\n"),
    "chunk size with spaces": chunks(b"5 \r\n12345\r\n0\r\n\r\n"),
    "empty chunk size": chunks(b"\r\n0\r\n\r\n"),
    "chunk size of 17 digits": chunks(b"00000000000000005\r\n12345\r\n0\r\n\r\n"),
    "chunk ended by bare LF": chunks(b"5\n12345\r\n0\r\n\r\n"),
    "data ended by bare LF": chunks(b"5\r\n12345\n0\r\n\r\n"),
    "data longer than its size": chunks(b"5\r\n123456\r\n0\r\n\r\n"),
    "bare CR in an extension": chunks(b"5;a\rb\r\n12345\r\n0\r\n\r\n"),
    "end by bare LF": chunks(b"0\r\n\n"),
    "trailer without colon": chunks(b"0\r\nGET / HTTP/1.1\r\n\r\n"),
    "upgrade with a length": fields(b"Content-Length: 5", *UPGRADING, start=b"GET / HTTP/1.1"),
    "upgrade with no length": fields(b"Content-Length: 0", *UPGRADING, start=b"GET / HTTP/1.1"),
    "chunked upgrade": fields(b"Transfer-Encoding: chunked", *UPGRADING, start=b"GET / HTTP/1.1"),
    "upgrade in 1.0": fields(*UPGRADING, start=b"GET / HTTP/1.0"),
}


def refusal(data: bytes, piece: int) -> BadRequest:
    parser = RequestParser(LimitsSection())
    try:
        for at in range(0, len(data), piece):
            assert parser.feed(data[at : at + piece]) is None
    except BadRequest as refused:
        return refused
    raise AssertionError("expected a refusal")


@pytest.mark.parametrize("piece", [1 << 30, 1], ids=["one read", "bytes"])
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_ambiguous_or_malformed_is_400(data: bytes, piece: int) -> None:
    assert refusal(data + HIDDEN, piece).status == 400


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"chunked, chunked", b"identity", b"gzip"])
def test_a_coding_that_is_not_just_chunked_is_refused_before_the_body(coding: bytes) -> None:
    assert refusal(fields(b"Transfer-Encoding: " + coding), 1 << 30).status == 400


@pytest.mark.parametrize(
    "start",
    [b"GET / HTTP/2.0", b"GET / HTTP/0.9", b"GET / HTTP/1.2", b"GET / HTTP/9.9", b"PRI * HTTP/2.0"],
)
def test_another_version_is_505(start: bytes) -> None:
    assert refusal(fields(start=start), 1 << 30).status == 505


def test_connect_is_501() -> None:
    assert refusal(fields(start=b"CONNECT a:443 HTTP/1.1"), 1 << 30).status == 501


def test_a_bare_lf_is_refused_before_the_head_ends() -> None:
    assert refusal(b"GET / HTTP/1.1\n", 1 << 30).status == 400
