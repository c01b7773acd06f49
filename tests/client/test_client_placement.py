"""A client that asks a gateway where it belongs, and connects there itself."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import trio

from tests.gateway.conftest import site_of
from wsmesh.client import open_client
from wsmesh.client.placement import Placement
from wsmesh.fetching import FetchFailed

URL = "ws://gate.test:8000/connection/websocket?cf_protocol=json"


def placement(*answers: bytes | Exception) -> tuple[Placement, list[str]]:
    asked: list[str] = []
    left = list(answers)

    async def fetch(url: str) -> bytes:
        asked.append(url)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Placement(URL, "anna & ben", fetch), asked


def nodes(*addresses: str) -> bytes:
    return json.dumps({"nodes": [{"id": "x", "address": each} for each in addresses]}).encode()


async def test_nodes_are_tried_in_order_and_the_gateway_last() -> None:
    placed, asked = placement(nodes("a:1", "", "b:2"), nodes("c:3"))
    path = "/connection/websocket?cf_protocol=json"
    assert [await placed.next(1) for _ in range(3)] == [f"ws://a:1{path}", f"ws://b:2{path}", URL]
    assert asked == ["http://gate.test:8000/placement?key=anna%20%26%20ben"]
    assert await placed.next(1) == f"ws://c:3{path}"


async def test_after_a_success_the_gateway_is_asked_anew() -> None:
    placed, asked = placement(nodes("a:1", "b:2"), nodes("b:2"))
    await placed.next(1)
    placed.arrived()
    assert (await placed.next(1)).startswith("ws://b:2/")
    assert len(asked) == 2


@pytest.mark.parametrize(
    "answer", [FetchFailed("away"), b"garbage", b"{}", b'{"nodes": [1]}', nodes()]
)
async def test_without_an_answer_the_gateway_itself_is_used(answer: bytes | Exception) -> None:
    placed, _ = placement(answer)
    assert await placed.next(1) == URL


async def test_a_gateway_that_is_silent_is_not_waited_for(autojump_clock: object) -> None:
    async def fetch(url: str) -> bytes:
        await trio.sleep_forever()

    assert await Placement(URL, "k", fetch).next(2.0) == URL
    assert trio.current_time() >= 2.0


async def test_a_real_client_connects_past_a_real_gateway_and_survives_its_node() -> None:
    with tempfile.TemporaryDirectory(prefix="gw") as path:
        async with site_of(Path(path), 2) as site:
            url = f"ws://127.0.0.1:{site.port}/connection/websocket"
            async with open_client(url, placement_key="anna") as client:
                with trio.fail_after(5):
                    await client.wait_connected()
                    own = [f"ws://{node.addresses[0]}/connection/websocket" for node in site.nodes]
                    assert client.url in own
                    assert site.gateway.desk.metrics.placed.counts == {}
                    first = client.url
                    await site.nodes[own.index(first)].drain(1.0)
                    while client.url == first or not client.is_connected:
                        await trio.sleep(0.01)
                    assert client.url in own
