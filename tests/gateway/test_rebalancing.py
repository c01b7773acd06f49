"""A new node fills: the others give what they have above the average, nobody moves twice."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, field

from tests.gateway.conftest import Site, node_at, site_of
from tests.servers.standalone import RedisServer
from wsmesh.client import ClientEvent, Connected, Connecting, open_client
from wsmesh.config.values import Seconds

CLIENTS = 60


@define(eq=False)
class Crowd:
    """Clients of `wsmesh.client`, and what they saw."""

    site: Site
    seen: list[list[ClientEvent]] = field(factory=list)

    async def join(self, nursery: trio.Nursery, count: int) -> None:
        for _ in range(count):
            await nursery.start(self._stay)

    async def _stay(self, *, task_status: trio.TaskStatus[None]) -> None:
        events: list[ClientEvent] = []
        self.seen.append(events)
        url = f"ws://127.0.0.1:{self.site.port}/connection/websocket"
        async with open_client(url, observe=events.append) as client:
            await client.wait_connected()
            task_status.started()
            await trio.sleep_forever()

    @property
    def moves(self) -> list[int]:
        """How often each client moved."""
        return [
            sum(isinstance(each, Connected) and each.moved for each in events)
            for events in self.seen
        ]

    @property
    def lost(self) -> int:
        """How often a client was without a connection."""
        return sum(isinstance(each, Connecting) for events in self.seen for each in events)


def options(server: RedisServer, **rebalance: Any) -> dict[str, Any]:
    even = {"enabled": True, "interval": Seconds(1.0), "max_fraction_per_round": 1.0}
    return {
        "redis": {"url": server.url},
        "node": {"heartbeat_interval": Seconds(0.5), "node_timeout": Seconds(3.0)},
        "rebalance": even | {"shed_rate": 100.0} | rebalance,
    }


async def all_see(site: Site, count: int) -> None:
    with trio.fail_after(10):
        while any(len(node._membership.view.members) != count for node in site.nodes):
            await trio.sleep(0.05)


async def test_four_nodes_are_even_after_a_quarter_moved_once(
    directory: Path, redis_server: RedisServer
) -> None:
    node = options(redis_server)
    redis = {"redis": node["redis"]}
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(site_of(directory, 3, node=node, **redis))
        await all_see(site, 3)
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        crowd = Crowd(site)
        await crowd.join(nursery, CLIENTS)
        before = sum(crowd.moves)
        site.nodes.append(await node_at(stack, directory, 4, **node))
        with trio.fail_after(20):
            while max(abs(load - CLIENTS / 4) for load in site.loads()) > 1.5:
                await trio.sleep(0.1)
        assert sum(crowd.moves) - before <= CLIENTS / 4
        await trio.sleep(3)
        assert max(abs(load - CLIENTS / 4) for load in site.loads()) <= 1.5
        assert max(crowd.moves) == 1, "nobody moves twice"
        assert crowd.lost == 0


@pytest.mark.parametrize("rebalance", [{"enabled": False}, {"begin_at": 10.0}])
async def test_nobody_moves_when_it_is_off_or_even_enough(
    directory: Path, redis_server: RedisServer, rebalance: dict[str, Any]
) -> None:
    node = options(redis_server, **rebalance)
    async with AsyncExitStack() as stack:
        redis = {"redis": node["redis"]}
        site = await stack.enter_async_context(site_of(directory, 1, node=node, **redis))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        crowd = Crowd(site)
        await crowd.join(nursery, 20)
        site.nodes.append(await node_at(stack, directory, 2, **node))
        await all_see(site, 2)
        await trio.sleep(2.5)
        assert site.loads() == [20, 0]


async def test_connections_that_are_old_are_placed_anew(directory: Path) -> None:
    node = {"client": {"max_connection_age": Seconds(2.0)}}
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(site_of(directory, 1, node=node, strategy="p2c"))
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        crowd = Crowd(site)
        await crowd.join(nursery, 20)
        site.nodes.append(await node_at(stack, directory, 2, **node))
        await site.settle(2)
        with trio.fail_after(10):
            while min(crowd.moves) < 1:
                await trio.sleep(0.1)
        assert site.loads()[1] >= 5, "the new node has its part of them"
        assert crowd.lost == 0
