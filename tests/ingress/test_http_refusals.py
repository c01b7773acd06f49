"""Refused requests over real sockets: JSON for people and machines, at once, and no more."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from tests.ingress.conftest import Opened, peer, tcp_stream
from wsmesh import __version__
from wsmesh.config.values import ByteSize, Seconds, Secret
from wsmesh.serving import Node

KEY = b"X-API-Key: k\r\n"
EXPECT = b"Expect: 100-continue\r\n"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
OPEN_API = {"http_api": {"key": Secret("k")}}


def request(start: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return start + b" HTTP/1.1\r\nHost: localhost\r\n" + b"".join(fields) + b"\r\n" + body


async def answer_of(node: Node, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes; return status, headers and body of what came until the node hung up."""
    async with await tcp_stream(node) as stream:
        await stream.send_all(sent)
        received = bytearray()
        with trio.fail_after(5):
            async for part in stream:
                received += part
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


LONG = b"x" * 9000
CASES = [
    (request(b"GET /" + LONG), 414, "limits.http_path_length is 4KiB"),
    (request(b"GET /", b"Cookie: " + LONG + b"\r\n"), 431, "Cookie; limits.http_header_line is"),
    (request(b"GET /", b"A: b\r\n" * 70), 431, "limits.http_header_count is 64"),
    (request(b"GET /", (b"A: " + b"b" * 8000 + b"\r\n") * 3), 431, "limits.http_head_size is 16"),
    (request(b"POST /api", b"Content-Length: 99999999\r\n"), 413, "limits.http_body_size is 4MiB"),
    (request(b"GET /", b"Expect: tea\r\n"), 417, "Expect"),
    (b"GET / HTTP/1.1\r\n\r\n", 400, "Host"),
    (b"GET / HTTP/2.0\r\n\r\n", 505, "HTTP/1.1"),
    (request(b"GET /connection/websocket"), 400, "Upgrade"),
    (request(b"POST /connection/websocket", UPGRADE), 405, "GET"),
    (request(b"GET /connection/websocket", UPGRADE.replace(b"13", b"8")), 426, "13"),
    (request(b"GET /connection/websocket", UPGRADE, b"Origin: https://evil.example\r\n"), 403,
     "Origin is not allowed; see client.allowed_origins"),
    (request(b"GET /connection/raw", UPGRADE, b"Connection: close\r\n"), 404,
     "endpoints.raw_websocket"),
    (request(b"GET /nothing", b"Connection: close\r\n"), 404, "nothing is here"),
    (request(b"DELETE /metrics", b"Connection: close\r\n"), 405, "GET or HEAD"),
    (request(b"POST /api/info", b"Connection: close\r\n"), 401, "X-API-Key"),
    (request(b"GET /api/info", b"Connection: close\r\n"), 405, "POST"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "status", "told"), CASES)
async def test_a_refusal_is_json_that_names_what_was_wrong(
    opened: Opened, sent: bytes, status: int, told: str
) -> None:
    async with opened(**OPEN_API) as node:
        found, headers, body = await answer_of(node, sent)

    error = json.loads(body)["error"]
    assert (found, error["code"]) == (status, status)
    assert told in error["message"]
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == str(len(body))
    assert headers["Connection"] == "close"
    assert ("Allow" in headers) == (status == 405)
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert __version__.encode() not in body
    assert b"/usr" not in body and b".py" not in body


@pytest.mark.parametrize(
    "sent",
    [
        request(b"HEAD /nothing", b"Connection: close\r\n"),
        request(b"HEAD /health/ready", b"Connection: close\r\n"),
        request(b"HEAD /connection/websocket", UPGRADE),
        request(b"HEAD /api", b"Content-Length: 99999999\r\n"),
        request(b"HEAD /nothing", b"Content-Length: 5\r\n", EXPECT),
        b"HEAD / HTTP/1.1\r\n\r\n",
    ],
)
async def test_head_gets_the_length_but_no_body(opened: Opened, sent: bytes) -> None:
    async with opened() as node:
        _, headers, body = await answer_of(node, sent)

    assert int(headers["Content-Length"]) > 0
    assert body == b""


@pytest.mark.parametrize(
    ("sections", "status", "option"),
    [
        ({"node": {"max_connections": 1}}, 503, "node.max_connections"),
        ({"limits": {"unauthenticated_share": 0.001}}, 503, "limits.unauthenticated_share"),
        ({"limits": {"accept_rate": 1.0, "accept_burst": 1}}, 503, "limits.accept_rate"),
        ({"limits": {"loopback_exempt": False, "max_connections_per_ip": 1}}, 429,
         "limits.max_connections_per_ip"),
        ({"limits": {"loopback_exempt": False, "connects_per_ip": 0.1, "connects_per_ip_burst": 1}},
         429, "limits.connects_per_ip"),
    ],
)  # fmt: skip
async def test_a_client_that_may_come_back_is_told_when(
    opened: Opened, sections: dict[str, Any], status: int, option: str
) -> None:
    async with opened(**sections) as node, peer(node, connect=False):
        found, headers, body = await answer_of(node, request(b"GET /connection/websocket", UPGRADE))

    assert found == status
    assert int(headers["Retry-After"]) >= 1
    assert json.loads(body)["error"]["message"].endswith(f"; see {option}")


async def test_who_is_too_slow_is_told_the_time(opened: Opened) -> None:
    async with opened(limits={"handshake_timeout": Seconds(0.1)}) as node:
        status, _, body = await answer_of(node, b"GET / HT")

    assert status == 408
    assert "limits.handshake_timeout is 100ms" in json.loads(body)["error"]["message"]


async def test_a_later_request_of_a_connection_has_no_more_time(opened: Opened) -> None:
    async with opened(limits={"handshake_timeout": Seconds(0.2)}) as node:
        _, _, rest = await answer_of(node, request(b"GET /health/live") + b"GET / HT")

    assert b"HTTP/1.1 408 " in rest


async def test_a_kept_connection_may_idle_longer_than_a_request(opened: Opened) -> None:
    async with opened(limits={"handshake_timeout": Seconds(0.2)}) as node:
        async with await tcp_stream(node) as stream:
            for _ in range(2):
                await stream.send_all(request(b"GET /health/live"))
                with trio.fail_after(5):
                    assert b" 200 OK" in await stream.receive_some()
                await stream.send_all(b"\r\n")
                await trio.sleep(0.4)


async def test_a_body_is_asked_for_when_its_head_is_right(opened: Opened) -> None:
    body = b'{"channel":"c","data":1}'
    length = b"Content-Length: %d\r\n" % len(body)
    async with opened(**OPEN_API) as node, await tcp_stream(node) as stream:
        for offset in (1, 2):
            await stream.send_all(request(b"POST /api/publish", KEY, length, EXPECT))
            with trio.fail_after(5):
                assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await stream.send_all(body)
            with trio.fail_after(5):
                answer = await stream.receive_some()
            assert b" 200 OK" in answer
            assert b'"offset":%d' % offset in answer


@pytest.mark.parametrize(
    ("start", "fields", "status"),
    [
        (b"POST /api/publish", (), 401),
        (b"POST /api/nothing", (KEY,), 404),
        (b"POST /nothing", (KEY,), 404),
        (b"POST /metrics", (), 405),
        (b"PUT /api/publish", (KEY,), 405),
        (b"POST /connection/websocket", (), 405),
        (b"GET /connection/websocket", (), 400),
        (b"POST /api/publish", (KEY, b"Expect: tea\r\n"), 417),
        (b"POST /api/publish", (KEY, b"Content-Length: 6\r\n"), 400),
    ],
)
async def test_a_body_that_would_be_refused_is_not_asked_for(
    opened: Opened, start: bytes, fields: tuple[bytes, ...], status: int
) -> None:
    async with opened(**OPEN_API) as node:
        sent = request(start, *fields, b"Content-Length: 5\r\n", EXPECT)
        found, headers, body = await answer_of(node, sent)

    assert found == status
    assert headers["Connection"] == "close"
    assert json.loads(body)["error"]["code"] == status


async def test_a_body_over_the_limit_is_refused_before_it_is_sent(opened: Opened) -> None:
    async with opened(limits={"http_body_size": ByteSize(100)}, **OPEN_API) as node:
        sent = request(b"POST /api/publish", KEY, b"Content-Length: 101\r\n", EXPECT)
        assert (await answer_of(node, sent))[0] == 413
