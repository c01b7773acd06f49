"""Limits of reliability: each answers with its code, and never reaches another client."""

from __future__ import annotations

import json
import os
import random
import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.ingress.conftest import Opened, peer, tcp_stream
from tests.ingress.test_listeners import answer_to, handshake
from wsmesh.config.channels import ChannelOptions
from wsmesh.config.values import ByteSize, Seconds
from wsmesh.serving import Node
from wsmesh.wire.frames import BINARY, PING, TEXT, client_frame


async def ending_of(node: Node, sent: bytes, within: float = 5) -> int:
    """Send bytes after a handshake; return the close code that comes back, 1006 without one."""
    received = b""
    async with await tcp_stream(node) as stream:
        await stream.send_all(handshake() + sent)
        with trio.move_on_after(within):
            try:
                while part := await stream.receive_some():
                    received += part
            except trio.BrokenResourceError:
                pass
    frames = received.partition(b"\r\n\r\n")[2]
    while frames:
        size, start = frames[1], 2
        if size == 126:
            size, start = int.from_bytes(frames[2:4], "big"), 4
        if frames[0] == 0x88:
            return int.from_bytes(frames[start : start + 2], "big")
        frames = frames[start + size :]
    return 1006


CONNECT = client_frame(TEXT, b'{"id":1,"connect":{}}')


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(b"\x81\x05hello", 1002, id="not masked"),
        pytest.param(client_frame(TEXT, b"\xff\xfe"), 1007, id="not UTF-8"),
        pytest.param(b"\x81\xff" + (1 << 62).to_bytes(8, "big"), 1009, id="declared too big"),
        pytest.param(client_frame(3, b""), 1002, id="reserved opcode"),
        pytest.param(client_frame(TEXT, b"", fin=False) + client_frame(0, b"", fin=False) * 200,
                     1008, id="fragments"),
        pytest.param(CONNECT + client_frame(PING, b"") * 100, 1008, id="ping flood"),
        pytest.param(CONNECT + client_frame(BINARY, b"x"), 3506, id="binary"),
        pytest.param(client_frame(TEXT, b"garbage"), 3501, id="not JSON"),
        pytest.param(client_frame(TEXT, b'{"id":"x"}'), 3501, id="wrong type"),
        pytest.param(client_frame(TEXT, b"[" * 60_000), 3501, id="nested JSON"),
        pytest.param(client_frame(TEXT, b'{"id":1,"publish":{"channel":"c","data":1}}'), 3501,
                     id="command before connect"),
        pytest.param(CONNECT + CONNECT, 3501, id="second connect"),
        pytest.param(CONNECT + client_frame(TEXT, b'{"subscribe":{"channel":"c"}}'), 3501,
                     id="no id"),
        pytest.param(CONNECT + client_frame(TEXT, b'{"send":{"data":1}}'), 3508,
                     id="message without a hook"),
    ],
)  # fmt: skip
async def test_a_violation_ends_its_connection_with_its_code(
    opened: Opened, sent: bytes, code: int
) -> None:
    async with opened() as node:
        assert await ending_of(node, sent) == code


async def test_a_client_that_never_connects_is_dropped(opened: Opened) -> None:
    async with opened(client={"stale_close_delay": Seconds(0.1)}) as node:
        assert await ending_of(node, b"") == 3502


async def test_a_message_that_is_never_finished_is_dropped(opened: Opened) -> None:
    async with opened(limits={"incomplete_age": Seconds(0.1)}) as node:
        assert await ending_of(node, CONNECT + client_frame(TEXT, b"x" * 50)[:-1]) == 1008


async def test_a_request_that_dribbles_in_is_given_up(opened: Opened) -> None:
    async with opened(limits={"handshake_timeout": Seconds(0.3)}) as node:
        async with await tcp_stream(node) as stream:
            with trio.fail_after(5):
                try:
                    for byte in handshake():
                        await stream.send_all(bytes((byte,)))
                        await trio.sleep(0.02)
                except trio.BrokenResourceError:
                    return
                assert b" 408 " in await stream.receive_some()


async def test_a_full_node_answers_503_to_clients_and_still_answers_http(opened: Opened) -> None:
    async with opened(node={"max_connections": 2}) as node:
        async with peer(node), peer(node):
            refused = await answer_to(node, handshake())
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: " in refused
            health = await answer_to(node, b"GET /health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"max_connections" in health


async def test_foreign_origins_are_refused_before_anything_else_happens(opened: Opened) -> None:
    origin = handshake(b"Origin: https://evil.example\r\n")
    async with opened() as node:
        assert b" 403 " in await answer_to(node, origin)
        assert b" 101 " in await answer_to(node, handshake(b"Origin: http://localhost\r\n"))
    async with opened(client={"allowed_origins": ("https://evil.example",)}) as node:
        assert b" 101 " in await answer_to(node, origin)


async def test_a_burst_over_the_message_rate_is_slowed_down_and_not_lost(opened: Opened) -> None:
    limits = {"message_rate": 200.0, "message_burst": 5}
    async with opened(limits=limits) as node, peer(node) as client:
        assert "subscribe" in await client.ask(subscribe={"channel": "c"})
        began = trio.current_time()
        for number in range(100):
            command = {"id": 100 + number, "publish": {"channel": "c", "data": number}}
            await client.ws.send_message(json.dumps(command))
        found = [(await push_of(client))["pub"]["data"] for _ in range(100)]
        assert found == list(range(100))
        assert "id" in await client.ask(history={"channel": "c"})
        assert trio.current_time() - began > 0.3


async def test_a_client_that_is_too_far_ahead_of_its_message_rate_is_disconnected(
    opened: Opened,
) -> None:
    limits = {"message_rate": 1.0, "message_burst": 1}
    message = client_frame(TEXT, b"{}")
    async with opened(limits=limits) as node:
        assert await ending_of(node, CONNECT + message * 20) == 3013
        assert await ending_of(node, CONNECT + message * 5, within=0.3) == 1006


async def push_of(client: Any) -> dict[str, Any]:
    """Return the next publication, leaving replies out."""
    while "pub" not in (push := await client.next_push()):
        pass
    found: dict[str, Any] = push
    return found


def stalled_socket(node: Node) -> socket.socket:
    """Return a socket that takes little: a small buffer that nobody reads."""
    host, port = node.addresses[0].rsplit(":", 1)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((host, int(port)))
    return sock


async def subscribed_and_stalled(node: Node, channel: str) -> socket.socket:
    """Return a client that subscribed and reads nothing any more."""
    sock = await trio.to_thread.run_sync(stalled_socket, node)
    request = json.dumps({"id": 2, "subscribe": {"channel": channel}}).encode()
    sock.sendall(handshake() + CONNECT + client_frame(TEXT, request))
    with trio.fail_after(5):
        while not (await node.operations.channels(None)).get(channel):
            await trio.sleep(0.01)
    return sock


async def received_by(sock: socket.socket) -> bytes:
    """Read until the end, in a thread."""

    def read() -> bytes:
        sock.settimeout(5)
        parts = []
        try:
            while part := sock.recv(65536):
                parts.append(part)
        except OSError:
            pass
        return b"".join(parts)

    return await trio.to_thread.run_sync(read)


async def test_a_slow_consumer_is_disconnected_and_others_do_not_notice(opened: Opened) -> None:
    limits = {"send_queue_bytes": ByteSize(64 * 1024)}
    async with opened(limits=limits) as node, peer(node) as other:
        assert "subscribe" in await other.ask(subscribe={"channel": "c"})
        sock = await subscribed_and_stalled(node, "c")
        with sock:
            payload = json.dumps("x" * 30_000).encode()
            for _ in range(300):
                await node.operations.publish("c", payload)
                assert "pub" in await push_of(other)
                if node.statistics().connections == 1:
                    break
                assert node.statistics().queue_bytes <= 64 * 1024
            with trio.fail_after(5):
                while node.statistics().connections > 1 or node.statistics().queue_bytes:
                    await trio.sleep(0.01)


@pytest.mark.parametrize("policy", ["drop_oldest", "keep_latest"])
async def test_lossy_channels_keep_a_slow_consumer_with_the_newest(
    opened: Opened, policy: str
) -> None:
    options = ChannelOptions(
        slow_consumer=policy, allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True
    )
    limits = {"send_queue_bytes": ByteSize(64 * 1024), "write_timeout": Seconds(30)}
    async with opened(limits=limits, channel={"without_namespace": options}) as node:
        sock = await subscribed_and_stalled(node, "c")
        with sock:
            for number in range(400):
                await node.operations.publish("c", json.dumps(f"{number:05}" * 4000).encode())
            assert node.statistics().connections == 1
            assert node.statistics().queue_bytes <= 64 * 1024
            assert node.metrics.publications_dropped > 0
            async with trio.open_nursery() as nursery:
                found: list[bytes] = []

                async def read() -> None:
                    found.append(await received_by(sock))

                nursery.start_soon(read)
                with trio.fail_after(10):
                    while node.statistics().queue_bytes:
                        await trio.sleep(0.01)
                nursery.start_soon(node.drain, 5.0)
            assert b"00399" in found[0]


async def test_a_client_that_takes_nothing_at_all_is_cut_after_the_write_timeout(
    opened: Opened,
) -> None:
    limits = {"write_timeout": Seconds(0.2), "send_queue_bytes": ByteSize(64 * 1024 * 1024)}
    async with opened(limits=limits) as node:
        with await subscribed_and_stalled(node, "c"):
            payload = json.dumps("x" * 100_000).encode()
            with trio.fail_after(10):
                while not node.statistics().slow_connections:
                    await node.operations.publish("c", payload)
                while node.statistics().connections:
                    await trio.sleep(0.01)


async def fuzz(node: Node, rng: random.Random, until: float) -> int:
    """Attack every entry point with broken input until the time is over; return the attempts."""
    paths = [b"/connection/websocket", b"/connection/uni_websocket", b"/connection/raw?channel=f"]
    commands = [
        b'{"id":1,"connect":{}}', b'{"id":2,"subscribe":{"channel":"f"}}',
        b'{"id":3,"publish":{"channel":"f","data":"\\ud800"}}', b'{"id":4,"history":{"limit":-5}}',
        b'{"id":5,"rpc":{"method":"x"}}', b'{"id":6,"unsubscribe":{"channel":"f"}}', b"{}", b"",
        b'{"id":7,"refresh":{"token":"a.b.c"}}', b'{"id":8,"presence":{"channel":"f"}}',
    ]  # fmt: skip
    mutations: list[Callable[[bytes], bytes]] = [
        lambda data: data,
        lambda data: data[: rng.randrange(len(data) + 1)],
        lambda data: data + rng.randbytes(rng.randrange(50)),
        lambda data: bytes(b ^ (rng.random() < 0.02) * rng.randrange(256) for b in data),
    ]
    count = 0
    while trio.current_time() < until:
        count += 1
        frames = b"".join(
            client_frame(rng.choice((TEXT, TEXT, TEXT, BINARY, PING, 8)), rng.choice(commands))
            for _ in range(rng.randrange(6))
        )
        request = rng.choice(
            [handshake(path=rng.choice(paths)) + frames,
             b"POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n" + frames]
        )
        try:
            async with await tcp_stream(node) as stream:
                with trio.move_on_after(0.05):
                    await stream.send_all(rng.choice(mutations)(request))
                    await stream.receive_some()
        except (trio.BrokenResourceError, OSError):
            continue
    return count


@pytest.mark.parametrize(
    ("bystanders", "seconds"),
    [(100, 3.0), pytest.param(1000, 60.0, marks=pytest.mark.slow)],
)
async def test_bystanders_keep_contiguous_offsets_while_everything_is_fuzzed(
    opened: Opened, bystanders: int, seconds: float
) -> None:
    seed = int(os.environ.get("WSMESH_FUZZ_SEED", "20260101"))
    endpoints = {"uni_websocket": True, "raw_websocket": True}
    async with opened(
        endpoints=endpoints, node={"max_connections": 3000},
        limits={"accept_rate": 10_000.0, "accept_burst": 10_000, "unauthenticated_share": 1.0},
    ) as node, trio.open_nursery() as nursery:  # fmt: skip
        seen = [0] * bystanders
        ready = trio.Event()
        joined = 0

        async def watch(index: int) -> None:
            nonlocal joined
            async with peer(node) as client:
                assert "subscribe" in await client.ask(subscribe={"channel": "watched"})
                joined += 1
                if joined == bystanders:
                    ready.set()
                while True:
                    push = await push_of(client)
                    assert push["pub"]["offset"] == seen[index] + 1
                    seen[index] += 1

        for index in range(bystanders):
            nursery.start_soon(watch, index)
        with trio.fail_after(60):
            await ready.wait()
        until = trio.current_time() + seconds
        attempts = []

        async def attack(number: int) -> None:
            attempts.append(await fuzz(node, random.Random(seed + number), until))

        published = 0
        async with trio.open_nursery() as attackers:
            for number in range(4):
                attackers.start_soon(attack, number)
            while trio.current_time() < until:
                published = (await node.operations.publish("watched", b"1")).position.offset
                await trio.sleep(bystanders / 1000)
        with trio.fail_after(20):
            while min(seen) < published:
                await trio.sleep(0.05)
        assert seen == [published] * bystanders
        assert sum(attempts) > 50
        assert node.metrics.barrier_hits == 0
        nursery.cancel_scope.cancel()
