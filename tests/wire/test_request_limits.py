"""Limits of requests: passed at the bound, refused past it, before anything piles up."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable
from itertools import repeat

import pytest

from wsmesh.config.sections import LimitsSection
from wsmesh.config.values import ByteSize
from wsmesh.wire.http import BadRequest, Request, RequestParser

LIMITS = LimitsSection()
START = b"GET / HTTP/1.1\r\nHost: a\r\n"
Outcome = tuple[int, str]
PASSES: Outcome = (0, "")


def outcome(data: bytes, limits: LimitsSection = LIMITS, piece: int = 1 << 30) -> Outcome:
    """Status and limit of the refusal; (0, "") if there is a request."""
    parser = RequestParser(limits)
    request: Request | None = None
    try:
        for at in range(0, len(data), piece):
            request = parser.feed(data[at : at + piece])
    except BadRequest as refusal:
        return refusal.status, refusal.limit
    assert request is not None, "more input is wanted"
    return PASSES


def feed_each(parser: RequestParser, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        assert parser.feed(piece) is None


def with_fields(count: int) -> bytes:
    return START + b"".join(b"X-%d: 1\r\n" % n for n in range(count - 1)) + b"\r\n"


def with_line(size: int) -> bytes:
    return START + b"X: " + b"v" * (size - 3) + b"\r\n\r\n"


def with_head(size: int) -> bytes:
    lines = START + (b"X: " + b"v" * 1000 + b"\r\n") * 15
    return lines + b"X: " + b"v" * (size - len(lines) - 7) + b"\r\n\r\n"


def with_path(size: int) -> bytes:
    return b"GET /?" + b"p" * (size - 2) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def with_length(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"b" * size


def with_chunks(size: int) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    half = size // 2
    chunks = (b"%x\r\n" % n + b"b" * n + b"\r\n" for n in (half, size - half) if n)
    return head + b"".join(chunks) + b"0\r\n\r\n"


BODY = LimitsSection(http_body_size=ByteSize(1000))
BOUNDS = [
    pytest.param(with_fields, 64, LIMITS, (431, "http_header_count"), id="fields"),
    pytest.param(with_line, 8192, LIMITS, (431, "http_header_line"), id="line"),
    pytest.param(with_head, 16384, LIMITS, (431, "http_head_size"), id="head"),
    pytest.param(with_path, 4096, LIMITS, (414, "http_path_length"), id="path"),
    pytest.param(with_length, 1000, BODY, (413, "http_body_size"), id="length"),
    pytest.param(with_chunks, 1000, BODY, (413, "http_body_size"), id="chunks"),
]


@pytest.mark.parametrize("piece", [1 << 30, 1], ids=["one read", "bytes"])
@pytest.mark.parametrize(("make", "bound", "limits", "refusal"), BOUNDS)
def test_a_request_passes_at_the_bound_and_is_refused_past_it(
    make: object, bound: int, limits: LimitsSection, refusal: Outcome, piece: int
) -> None:
    assert callable(make)
    assert outcome(make(bound - 1), limits, piece) == PASSES
    assert outcome(make(bound), limits, piece) == PASSES
    assert outcome(make(bound + 1), limits, piece) == refusal


@pytest.mark.parametrize(
    ("endless", "refusal"),
    [
        (b"GET /" + b"a" * 5000, (414, "http_path_length")),
        (b"x" * 5000, (414, "http_path_length")),
        (START + b"X: " + b"v" * 8200, (431, "http_header_line")),
        (START + b"X: 1\r\n" * 70, (431, "http_header_count")),
        (START + (b"X: " + b"v" * 1000 + b"\r\n") * 17, (431, "http_head_size")),
        (b"\r\n" * 9000, (431, "http_head_size")),
        (with_length(0)[:-5] + b"99999999\r\n\r\n", (413, "http_body_size")),
        (with_chunks(0)[:-5] + b"fffffff\r\n", (413, "http_body_size")),
        (with_chunks(0)[:-5] + b"0\r\n" + b"T: x\r\n" * 3000, (431, "http_head_size")),
        (with_chunks(0)[:-5] + b"1;" + b"e" * 300, (400, "")),
    ],
)
def test_what_never_ends_is_refused_before_it_ends(endless: bytes, refusal: Outcome) -> None:
    assert outcome(endless) == refusal
    assert outcome(endless, piece=100) == refusal


def test_an_announced_body_that_is_too_large_is_refused_before_it_comes() -> None:
    head, _, _ = with_length(1001).partition(b"\r\n\r\n")

    assert outcome(head + b"\r\n\r\n", BODY) == (413, "http_body_size")


def test_a_dribbled_head_costs_linear_time() -> None:
    def seconds(size: int) -> float:
        limits = LimitsSection(http_header_line=ByteSize(1 << 20), http_head_size=ByteSize(1 << 20))
        parser = RequestParser(limits)
        parser.feed(START + b"X: ")
        began = time.process_time()
        for _ in range(size):
            parser.feed(b"v")
        return time.process_time() - began

    small, large = min(seconds(20_000) for _ in range(3)), min(seconds(80_000) for _ in range(3))
    assert large < 12 * small


def test_a_flood_of_header_lines_holds_little() -> None:
    parser = RequestParser(LIMITS)
    parser.feed(b"GET / HTTP/1.1\r\n")
    tracemalloc.start()
    try:
        with pytest.raises(BadRequest):
            feed_each(parser, repeat(b"X: 1\r\n", 100_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 64 * 1024
