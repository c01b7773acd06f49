"""A master dies while nodes publish: nothing confirmed is lost, and whatever is lost is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from attrs import define, evolve, field
from msgspec import Raw

from tests.contracts.store_cluster import CHANNEL, KEEPS, Node
from tests.servers.cluster import RedisCluster
from tests.servers.sentinel import RedisSentinel
from tests.store.redis.store_nodes import again, back, redis_of, running_node, section_of, until
from wsmesh.errors import StoreUnavailable
from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import Position, Published, PublishOptions

OPTIONS = PublishOptions(retention=evolve(KEEPS, size=100_000, ttl=600.0), durability="replicated")


@define
class Publisher:
    """Publishes numbers and remembers what was said about each."""

    node: Node
    acknowledged: dict[int, Published] = field(factory=dict)
    refused: set[int] = field(factory=set)
    unknown: set[int] = field(factory=set)
    is_stopped: bool = False

    async def run(self) -> None:
        number = 0
        while not self.is_stopped:
            number += 1
            try:
                self.acknowledged[number] = await self.node.store.publish(
                    CHANNEL, Publication(data=Raw(b"%d" % number)), OPTIONS
                )
            except StoreUnavailable as error:
                (self.unknown if error.is_unknown else self.refused).add(number)
                await trio.sleep(0.02)


async def survives(url: str, fail: Callable[[Node], Awaitable[None]]) -> None:
    section = section_of(url, durability_timeout=0.1)
    async with running_node(section, "a/1") as here, running_node(section, "b/1") as there:
        await there.store.subscribe(CHANNEL)
        trace: list[Position | None] = []
        there.store.listen(
            lambda channel, publication, position: trace.append(position),
            lambda *_: None,
            lambda channel: trace.append(None),
        )
        publisher = Publisher(here)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publisher.run)
            await until(lambda: len(publisher.acknowledged) > 50)
            await fail(here)
            before = len(publisher.acknowledged)
            await until(lambda: len(publisher.acknowledged) > before + 50, within=30.0)
            publisher.is_stopped = True
        await back(there)
        top = (await again(lambda: there.store.top(CHANNEL, OPTIONS.retention))).offset
        await until(lambda: trace[-1] is not None and trace[-1].offset == top, within=30.0)

        stream = await again(lambda: there.store.history(CHANNEL, OPTIONS.retention, limit=-1))
        kept = {int(bytes(each.data)): each.offset for each in stream.publications}
        confirmed = {
            number for number, each in publisher.acknowledged.items()
            if each.durability == "replicated"
        }
        assert len(confirmed) > 50
        assert confirmed <= set(kept)
        assert all(
            publisher.acknowledged[number].position.offset == kept[number] for number in confirmed
        )
        assert not publisher.refused & set(kept)
        assert len(kept) == len(stream.publications), "nothing is stored twice"
        seen = [each for each in trace if each is not None]
        assert len({(each.epoch, each.offset) for each in seen}) == len(seen)
        for last, this in zip(trace, trace[1:], strict=False):
            if last is not None and this is not None:
                assert this == Position(last.epoch, last.offset + 1)
        epochs = [*dict.fromkeys(each.epoch for each in seen)]
        assert len(epochs) == 2
        assert trace.count(None) >= 1
        assert redis_of(here).counts.failovers + redis_of(there).counts.failovers >= 1


@pytest.mark.slow
async def test_a_killed_master_of_a_cluster(redis_cluster: RedisCluster) -> None:
    async def fail(node: Node) -> None:
        key = redis_of(node)._keyspace.of(CHANNEL).meta
        lost = redis_cluster.master_of(key)
        redis_cluster.kill_master(lost)
        await redis_cluster.wait_failover(lost)

    await survives(redis_cluster.url, fail)


@pytest.mark.slow
async def test_a_killed_master_under_sentinel(redis_sentinel: RedisSentinel) -> None:
    async def fail(_: Node) -> None:
        redis_sentinel.kill_master()
        await redis_sentinel.wait_promotion()

    await survives(redis_sentinel.url, fail)


@pytest.mark.slow
async def test_a_former_master_that_wakes_up_is_not_believed(
    redis_sentinel: RedisSentinel,
) -> None:
    async def fail(_: Node) -> None:
        former = redis_sentinel.stop_master()
        await redis_sentinel.wait_promotion()
        former.cont()

    await survives(redis_sentinel.url, fail)
