"""What refused requests are told: always the option, its value when the client can keep it."""

from __future__ import annotations

import json

import pytest

from wsmesh.config.options import dotted, options_of
from wsmesh.config.sections import Config, LimitsSection
from wsmesh.config.values import ByteSize
from wsmesh.security.admission import Admission
from wsmesh.wire.http import BadRequest, RequestParser
from wsmesh.wire.refusal import error_body, explained, option_of

LIMITS = LimitsSection(http_header_line=ByteSize(100))
OF_REQUESTS = (
    "http_header_count", "http_header_line", "http_head_size", "http_path_length",
    "http_body_size", "handshake_timeout",
)  # fmt: skip
OF_ADMISSION = (
    "max_connections", "max_connections_per_ip", "connects_per_ip", "unauthenticated_share",
    "accept_rate", "origin",
)  # fmt: skip


@pytest.mark.parametrize("limit", OF_REQUESTS + OF_ADMISSION)
def test_every_limit_leads_to_an_option_that_exists(limit: str) -> None:
    assert option_of(limit) in {dotted(option.path) for option in options_of(Config)}
    assert option_of(limit) in explained("too much", limit, "", LIMITS)


@pytest.mark.parametrize("limit", OF_ADMISSION)
def test_what_the_node_can_take_is_not_told_to_strangers(limit: str) -> None:
    assert not any(char.isdigit() for char in explained("too much", limit, "", LIMITS))


def test_the_reason_comes_with_the_header_the_option_and_its_value() -> None:
    assert explained("line ends in a bare LF", "", "", LIMITS) == "line ends in a bare LF"
    assert explained("header line too long", "http_header_line", "cookie", LIMITS) == (
        "header line too long: cookie; limits.http_header_line is 100B"
    )
    assert explained("too many header fields", "http_header_count", "", LIMITS) == (
        "too many header fields; limits.http_header_count is 64"
    )
    assert explained("request took too long", "handshake_timeout", "", LIMITS) == (
        "request took too long; limits.handshake_timeout is 5s"
    )
    assert explained("too many connections", "max_connections", "", LIMITS) == (
        "too many connections; see node.max_connections"
    )


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"Cookie: " + b"x" * 200, "Cookie"),
        (b"Cookie: " + b"x" * 200 + b"\r\n\r\n", "Cookie"),
        (b"x" * 200, ""),
        (b"\x1b[31m: " + b"x" * 200, ""),
        (b"x" * 65 + b": " + b"x" * 200, ""),
    ],
)
def test_a_header_that_is_too_long_is_named_if_it_has_a_name(line: bytes, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        RequestParser(LIMITS).feed(b"GET / HTTP/1.1\r\nHost: a\r\n" + line)

    assert (caught.value.status, caught.value.field) == (431, field)


def test_the_body_has_the_form_of_the_apis_errors() -> None:
    assert json.loads(error_body(431, 'a "b" \\')) == {
        "error": {"code": 431, "message": 'a "b" \\'}
    }


def test_every_refusal_of_admission_is_covered_here() -> None:
    limits = LimitsSection(
        loopback_exempt=False, max_connections_per_ip=1, connects_per_ip=0.01,
        connects_per_ip_burst=1, accept_rate=1, accept_burst=1,
    )
    admission = Admission(limits, 4)
    seen = set()
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"):
        for now in (100.0, 100.0, 103.0):
            refusal = admission.admit(address, now)
            if refusal is None:
                admission.opened(address)
            else:
                seen.add(refusal.limit)
                assert refusal.retry_after > 0

    assert seen <= set(OF_ADMISSION)
    assert len(seen) >= 2
