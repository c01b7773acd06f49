"""The Trio client against a real node, over real sockets that break in the middle."""

from __future__ import annotations

import json
import urllib.request
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import trio
from attrs import define, field

from wsmesh.client import (
    Backoff,
    Connected,
    Connecting,
    Disconnected,
    ReplyError,
    StreamPosition,
    open_client,
)

QUICK = Backoff(minimum=0.02, maximum=0.1)


@pytest.fixture(autouse=True)
async def nothing_hangs():
    with trio.fail_after(20):
        yield


@define(eq=False)
class Relay:
    """A TCP hop whose connections can be cut."""

    host: str
    port: int
    url: str = ""
    _open: list[trio.SocketStream] = field(factory=list)

    async def serve(self, near: trio.SocketStream) -> None:
        far = await trio.open_tcp_stream(self.host, self.port)
        self._open += [near, far]
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._copy, near, far)
            await self._copy(far, near)
            nursery.cancel_scope.cancel()

    async def _copy(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        try:
            async for chunk in source:
                await sink.send_all(chunk)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def cut(self) -> None:
        """Drop every connection without a close frame."""
        broken, self._open = self._open, []
        for stream in broken:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def open_relay(url):
    parts = urlsplit(url)
    relay = Relay(parts.hostname, parts.port)
    async with trio.open_nursery() as nursery:
        serve = trio.serve_tcp
        (listener,) = await nursery.start(
            lambda task_status: serve(relay.serve, 0, host="127.0.0.1", task_status=task_status)
        )
        port = listener.socket.getsockname()[1]
        relay.url = f"ws://127.0.0.1:{port}{parts.path}"
        yield relay
        nursery.cancel_scope.cancel()


def post(url, key, body):
    headers = {"X-API-Key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        return json.load(answer)


async def call(node, method, **body):
    """Call the node's HTTP API."""
    url = f"{node.http_url}/api/{method}"
    answer = await trio.to_thread.run_sync(post, url, node.api_key, body)
    assert "error" not in answer
    return answer["result"]


async def numbers(subscription, count):
    return [(await anext(subscription)).data["n"] for _ in range(count)]


async def test_everything_missed_while_the_connection_was_cut_is_recovered(node):
    async with (
        open_relay(node.url) as relay,
        open_client(node.url) as publisher,
        open_client(relay.url, backoff=QUICK) as client,
        client.subscribe("cut", recover=True) as subscription,
    ):
        for n in range(100):
            await publisher.publish("cut", {"n": n})
            if n % 20 == 10:
                await relay.cut()
        assert list(range(100)) == await numbers(subscription, 100)
        assert not subscription.continuity.is_gap
        assert 100 == subscription.position.offset


async def test_a_forced_reconnect_recovers(node):
    seen = []
    async with (
        open_client(node.url) as publisher,
        open_client(node.url, backoff=QUICK, observe=seen.append) as client,
        client.subscribe("forced", recover=True) as subscription,
    ):
        await publisher.publish("forced", {"n": 0})
        assert [0] == await numbers(subscription, 1)
        disconnect = {"code": 3011, "reason": "force reconnect"}
        await call(node, "disconnect", user="", client=client.client_id, disconnect=disconnect)
        for n in range(1, 20):
            await publisher.publish("forced", {"n": n})
        assert list(range(1, 20)) == await numbers(subscription, 19)
        assert not subscription.continuity.is_gap
    assert [Connected, Connecting, Connected] == [type(event) for event in seen]
    assert (3011, "force reconnect") == (seen[1].code, seen[1].reason)


async def test_a_terminal_disconnect_ends_the_client(node):
    with pytest.raises(Disconnected) as caught:
        async with open_client(node.url) as client:
            await client.wait_connected()
            disconnect = {"code": 3503, "reason": "force disconnect"}
            await call(node, "disconnect", user="", client=client.client_id, disconnect=disconnect)
            await trio.sleep_forever()
    assert (3503, "force disconnect") == (caught.value.code, caught.value.reason)


async def test_a_move_under_load_loses_and_repeats_nothing(node):
    async def publish_all(publisher):
        for n in range(200):
            await publisher.publish("moving", {"n": n})

    seen = []
    async with (
        open_client(node.url) as publisher,
        open_client(node.url, observe=seen.append) as client,
        client.subscribe("moving", recover=True) as subscription,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(publish_all, publisher)
        got = await numbers(subscription, 20)
        for _ in range(3):
            await client.move()
            got += await numbers(subscription, 30)
        got += await numbers(subscription, 90)
        assert list(range(200)) == got
    assert [False, True, True, True] == [event.moved for event in seen]


async def test_a_reader_that_lags_gets_everything_in_the_end(node):
    async with (
        open_client(node.url) as publisher,
        open_client(node.url, backoff=QUICK) as client,
        client.subscribe("slow", recover=True, buffer=10) as subscription,
    ):
        for n in range(60):
            await publisher.publish("slow", {"n": n})
        assert list(range(60)) == await numbers(subscription, 60)
        assert not subscription.continuity.is_gap


async def test_history_presence_and_position(node):
    async with open_client(node.url) as client:
        for n in range(5):
            await client.publish("facts", {"n": n})
        history = await client.history("facts", limit=-1)
        assert [0, 1, 2, 3, 4] == [publication.data["n"] for publication in history.publications]
        assert 5 == history.position.offset
        since = StreamPosition(offset=3, epoch=history.position.epoch)
        async with client.subscribe("facts", since=since, recover=True) as subscription:
            assert [3, 4] == await numbers(subscription, 2)
            assert [client.client_id] == list(await client.presence("facts"))
            assert 1 == (await client.presence_stats("facts")).clients


async def test_an_unknown_method_is_refused_and_the_client_goes_on(node):
    async with open_client(node.url) as client:
        with pytest.raises(ReplyError):
            await client.rpc("nobody answers this", {})
        await client.publish("after", {"n": 1})
