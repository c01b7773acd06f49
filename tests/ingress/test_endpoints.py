"""Endpoints over real sockets: plain clients, unidirectional ones, HTTP beside them, draining."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from websockets.asyncio.client import connect

from tests.ingress.conftest import Opened, peer
from wsmesh.config.sections import HTTPAPISection
from wsmesh.config.values import ByteSize, Seconds, Secret
from wsmesh.serving import Node


def url(node: Node, path: str, scheme: str = "ws") -> str:
    return f"{scheme}://{node.addresses[0]}{path}"


async def test_plain_clients_exchange_bare_payloads_with_each_other_and_with_sdks(
    opened: Opened,
) -> None:
    async with (
        opened(endpoints={"raw_websocket": True}) as node,
        peer(node) as sdk,
        peer(node, path="/connection/raw?channel=a&channel=b", connect=False) as one,
    ):
        plain = one.ws
        assert "subscribe" in await sdk.ask(subscribe={"channel": "a"})
        with trio.fail_after(5):
            while (await node.operations.channels(None)).get("b") != 1:
                await trio.sleep(0.01)
            await plain.send_message('{"x":1}')
            assert [await plain.get_message() for _ in range(2)] == ['{"x":1}', '{"x":1}']
            assert (await sdk.next_push())["pub"]["data"] == {"x": 1}
            await plain.send_message("not JSON")
            assert await plain.get_message() == '"not JSON"'
            assert "publish" in await sdk.ask(publish={"channel": "a", "data": "from the SDK"})
            assert '"from the SDK"' in [await plain.get_message() for _ in range(2)]


async def test_a_plain_client_without_permission_or_channel_is_disconnected(
    opened: Opened,
) -> None:
    async with opened(
        endpoints={"raw_websocket": True}, client={"allow_anonymous_connect_without_token": False}
    ) as node:
        for path in ("/connection/raw?channel=a", "/connection/raw"):
            async with peer(node, path=path, connect=False) as client:
                assert (await client.closing())[0] == 3501


async def test_a_unidirectional_client_is_told_when_the_node_stops(opened: Opened) -> None:
    async with (
        opened(endpoints={"uni_websocket": True}) as node,
        peer(node, path="/connection/uni_websocket", connect=False) as one,
    ):
        client = one.ws
        await client.send_message('{"subs":{"c":{}}}')
        with trio.fail_after(5):
            connected = json.loads(await client.get_message())
            assert list(connected["connect"]["subs"]) == ["c"]
            await node.operations.publish("c", b'"hello"')
            pushed = json.loads(await client.get_message())
            assert (pushed["channel"], pushed["pub"]["data"]) == ("c", "hello")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.drain, 5.0)
                goodbye = json.loads(await client.get_message())
        assert goodbye["disconnect"] == {"code": 3001, "reason": "shutdown", "reconnect": True}


async def test_endpoints_that_are_off_do_not_exist(opened: Opened) -> None:
    async with opened() as node, httpx2.AsyncClient() as http:
        for path in ("/connection/raw", "/connection/uni_websocket", "/connection/other"):
            assert (await http.get(url(node, path, "http"))).status_code == 404


async def test_http_is_answered_on_the_same_port_over_one_kept_connection(opened: Opened) -> None:
    section = HTTPAPISection(key=Secret("k"))
    async with opened(http_api={"key": section.key}) as node, peer(node) as client:
        assert "subscribe" in await client.ask(subscribe={"channel": "c"})
        async with httpx2.AsyncClient(headers={"X-API-Key": "k"}) as http:
            for number in range(3):
                answer = await http.post(
                    url(node, "/api/publish", "http"), json={"channel": "c", "data": number}
                )
                assert answer.json()["result"]["offset"] == number + 1
                assert (await client.next_push())["pub"]["data"] == number
            assert node.statistics().sockets == 2
            ready = await http.get(url(node, "/health/ready", "http"))
            assert ready.json() == {"status": "ready"}
            wrong = await http.post(
                url(node, "/api/info", "http"), json={}, headers={"X-API-Key": "x"}
            )
            assert wrong.status_code == 401


async def test_a_body_over_the_limit_is_refused_with_413(opened: Opened) -> None:
    async with opened(limits={"http_body_size": ByteSize(100)}) as node:
        async with httpx2.AsyncClient() as http:
            answer = await http.post(url(node, "/api/publish", "http"), content=b"x" * 101)
            assert answer.status_code == 413


async def test_compressed_messages_work_in_both_directions(opened: Opened) -> None:
    async with opened(compression={"enabled": True, "min_size": ByteSize(50)}) as node:
        address = url(node, "/connection/websocket")

        async def exchange() -> list[Any]:
            async with connect(address, compression="deflate") as ws:
                assert "permessage-deflate" in ws.response.headers["Sec-WebSocket-Extensions"]
                await ws.send('{"id":1,"connect":{}}')
                await ws.recv()
                await ws.send('{"id":2,"subscribe":{"channel":"c"}}')
                await ws.recv()
                command = {"id": 3, "publish": {"channel": "c", "data": "long " * 1000}}
                await ws.send(json.dumps(command))
                return [json.loads(await ws.recv()) for _ in range(2)]

        messages = await trio.to_thread.run_sync(lambda: asyncio.run(exchange()))
        (push,) = (each["push"] for each in messages if "push" in each)
        assert push["pub"]["data"] == "long " * 1000
        assert node.metrics.bytes_out < 2000


async def test_draining_tells_every_client_to_come_back_and_finishes_in_time(
    opened: Opened,
) -> None:
    async with opened() as node, peer(node) as client, peer(node, connect=False) as silent:
        async with httpx2.AsyncClient() as http:
            assert (await http.get(url(node, "/health/ready", "http"))).status_code == 200
            with trio.fail_after(3):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(node.drain, 10.0)
                    assert await client.closing() == (3001, "shutdown")
                    assert await silent.closing() == (3001, "shutdown")
        assert node.statistics().sockets == 0
        assert await node.readiness() == ("draining",)


async def test_batches_join_what_arrives_within_the_delay(opened: Opened) -> None:
    batch = {"delay": Seconds(0.05), "max_messages": 5}
    async with opened(batch=batch) as node, peer(node) as client:
        assert "subscribe" in await client.ask(subscribe={"channel": "c"})
        began = trio.current_time()
        for number in range(12):
            await node.operations.publish("c", b"%d" % number)
        found = [(await client.next_push())["pub"]["data"] for _ in range(12)]
        assert found == list(range(12))
        assert trio.current_time() - began < 1


async def test_a_disconnect_hook_that_fails_is_no_fault_of_the_connection(
    opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failing_goodbye.py").write_text(
        "from wsmesh.app import App\n"
        "app = App()\n"
        "called = []\n"
        "@app.on_disconnect\n"
        "async def goodbye(context):\n"
        "    called.append(context.code)\n"
        "    raise ValueError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    async with opened(app={"module": "failing_goodbye:app"}) as node:
        async with peer(node) as client:
            assert "subscribe" in await client.ask(subscribe={"channel": "c"})
        import failing_goodbye

        with trio.fail_after(5):
            while node.statistics().sockets or not failing_goodbye.called:
                await trio.sleep(0.01)
        assert failing_goodbye.called == [3000]
        assert await node.operations.presence("c") == {}
        assert node.metrics.barrier_hits == 0
