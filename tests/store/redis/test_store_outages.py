"""While Redis cannot store, nothing is acknowledged; readiness says why; then it goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from attrs import evolve
from msgspec import Raw

from tests.contracts.store_cluster import (
    ANN,
    CHANNEL,
    KEEPING,
    KEEPS,
    PASSING,
    message,
    numbers,
    publish,
)
from tests.servers.proxy import Direction, open_proxy
from tests.servers.resp import RespSplitter
from tests.servers.standalone import MEMORY_ONLY, RedisServer
from tests.store.redis.store_nodes import back, redis_of, running_node, section_of, until
from wsmesh.errors import StoreUnavailable
from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import Position, Published, PublishOptions, Retention, Store

ROOMY = PublishOptions(retention=Retention(size=10_000, ttl=60.0))


async def everything(store: Store) -> list[Exception]:
    """Call everything that asks Redis; return what it raised."""
    raised: list[Exception] = []
    for call in (
        lambda: store.publish(CHANNEL, message(), KEEPING),
        lambda: store.publish(CHANNEL, message(), PASSING),
        lambda: store.publish(CHANNEL, message(), PublishOptions(idempotency_key="k")),
        lambda: store.publish(CHANNEL, message(), evolve(KEEPING, durability="replicated")),
        lambda: store.top(CHANNEL, KEEPS),
        lambda: store.recover(CHANNEL, Position(), KEEPS, 10),
        lambda: store.history(CHANNEL, KEEPS, limit=5),
        lambda: store.remove_history(CHANNEL),
        lambda: store.add_presence(CHANNEL, "c1", ANN, 5.0),
        lambda: store.presence(CHANNEL),
        lambda: store.remove_presence(CHANNEL, "c1"),
        lambda: store.announce(CHANNEL, ANN, True),
        lambda: store.announce(CHANNEL, ANN, False),
        lambda: store.subscribe("news:late"),
        lambda: store.check(),
    ):
        try:
            await call()
        except Exception as error:
            raised.append(error)
    return raised


async def test_without_redis_everything_says_that_the_store_is_unavailable(
    redis_server: RedisServer,
) -> None:
    async with running_node(section_of(redis_server.url)) as node:
        redis_server.kill()
        await trio.sleep(0.2)
        raised = await everything(node.store)
        assert len(raised) == 15
        assert all(isinstance(error, StoreUnavailable) for error in raised)
        redis_server.start()
        await back(node)
        await node.store.subscribe(CHANNEL)
        await publish(node.store, 1)
        await until(lambda: node.offsets == [1])


async def test_a_right_that_is_missing_is_a_failure_of_the_store_too(
    start_redis: Callable[..., RedisServer]
) -> None:
    server = start_redis(users={"node": "on >secret ~* &* +@all -info"})
    section = section_of(server.url_for("node", "secret"))
    async with running_node(section) as node:
        with pytest.raises(StoreUnavailable, match="refused"):
            await publish(node.store, 1)
        with pytest.raises(StoreUnavailable, match="refused"):
            await node.store.top(CHANNEL, KEEPS)
        assert not server.admin.exists(f"{section.prefix}:*")


async def test_a_frozen_redis_costs_a_deadline_and_is_not_ready(
    redis_server: RedisServer,
) -> None:
    section = section_of(redis_server.url, timeout=0.3)
    async with running_node(section) as node:
        await node.store.subscribe(CHANNEL)
        redis_server.stop()
        began = trio.current_time()
        with pytest.raises(StoreUnavailable) as caught:
            await node.store.publish(CHANNEL, message(), KEEPING)
        assert caught.value.is_unknown
        assert trio.current_time() - began < 1.0
        with pytest.raises(StoreUnavailable):
            await node.store.check()
        redis_server.cont()
        await back(node)
        stream = await node.store.history(CHANNEL, KEEPS, limit=-1)
        await until(lambda: node.offsets == numbers(stream.publications))


async def test_out_of_memory_is_refused_and_nothing_half_done_is_left(
    redis_server: RedisServer,
) -> None:
    big = Publication(data=Raw(b'"%s"' % (b"x" * 50_000)))
    async with running_node(section_of(redis_server.url)) as node:
        await node.store.subscribe(CHANNEL)
        used = redis_server.admin.info("memory")["used_memory"]
        redis_server.admin.config_set("maxmemory", used + 2_000_000)
        outcomes: list[Published | Exception] = []
        for _ in range(200):
            node.store.publish_nowait(CHANNEL, big, ROOMY, outcomes.append)
        await until(lambda: len(outcomes) == 200)
        stored = [each for each in outcomes if isinstance(each, Published)]
        refused = [each for each in outcomes if isinstance(each, StoreUnavailable)]
        assert len(stored) + len(refused) == 200
        assert stored
        assert refused
        assert all(not each.is_unknown for each in refused)
        redis_server.admin.config_set("maxmemory", 0)
        stream = await node.store.history(CHANNEL, ROOMY.retention, limit=-1)
        assert numbers(stream.publications) == list(range(1, len(stored) + 1))
        assert stream.top.offset == len(stored)
        await redis_of(node).pass_through(CHANNEL)
        assert node.offsets == numbers(stream.publications)


async def test_too_few_replicas_refuse_writes_before_anything_is_stored(
    start_redis: Callable[..., RedisServer]
) -> None:
    server = start_redis({**MEMORY_ONLY, "min-replicas-to-write": 1})
    async with running_node(section_of(server.url)) as node:
        for options in (KEEPING, PublishOptions(retention=KEEPS, idempotency_key="k")):
            with pytest.raises(StoreUnavailable, match="replicas"):
                await node.store.publish(CHANNEL, message(), options)
        server.admin.config_set("min-replicas-to-write", 0)
        outcome = await node.store.publish(
            CHANNEL, message(), PublishOptions(retention=KEEPS, idempotency_key="k")
        )
        assert not outcome.suppressed
        assert outcome.position.offset == 1


@pytest.mark.slow
async def test_a_node_that_is_deaf_is_not_ready_and_opens_its_connection_again(
    redis_server: RedisServer,
) -> None:
    """Everything works but what Redis pushes never arrives (issues of others: green but deaf)."""
    async with (
        open_proxy(redis_server.address, splitter=RespSplitter) as proxy,
        running_node(section_of(f"redis://127.0.0.1:{proxy.port}")) as node,
    ):
        await node.store.check()
        proxy.drop_next(lambda each: b"smessage" in each, count=1_000_000)
        with trio.fail_after(4.5):
            while True:
                try:
                    await node.store.check()
                except StoreUnavailable as error:
                    assert f"127.0.0.1:{proxy.port}" in str(error)
                    break
                await trio.sleep(0.05)
        with pytest.raises(StoreUnavailable):
            await redis_of(node).pass_through(CHANNEL)
        await until(lambda: redis_of(node).counts.reopened, within=8.0)
        await proxy.heal()
        await back(node)


@pytest.mark.slow
async def test_a_node_that_only_hears_late_is_ready(redis_server: RedisServer) -> None:
    async with (
        open_proxy(redis_server.address, splitter=RespSplitter) as proxy,
        running_node(section_of(f"redis://127.0.0.1:{proxy.port}")) as node,
    ):
        proxy.latency(0.15, direction=Direction.DOWN)
        for _ in range(10):
            await node.store.check()
            await trio.sleep(0.2)
        assert 0.15 <= max(redis_of(node).round_trips.values()) < 1.0


async def test_who_waits_for_a_canary_is_told_when_redis_goes_away(
    redis_server: RedisServer,
) -> None:
    async with running_node(section_of(redis_server.url)) as node:
        redis_server.kill()
        began = trio.current_time()
        with pytest.raises(StoreUnavailable):
            await redis_of(node).pass_through(CHANNEL)
        assert trio.current_time() - began < 2.5


@pytest.mark.slow
async def test_missing_publications_that_cannot_be_read_in_time_are_a_gap(
    redis_server: RedisServer,
) -> None:
    """Pub/sub works, reading does not: what waits is bounded in time."""
    section = section_of(redis_server.url, timeout=0.3)
    async with (
        open_proxy(redis_server.address, splitter=RespSplitter) as proxy,
        running_node(evolve(section, url=f"redis://127.0.0.1:{proxy.port}"), "n/1") as node,
        running_node(section, "other/1") as other,
    ):
        await node.store.subscribe(CHANNEL)
        await publish(other.store, 1)
        await until(lambda: node.offsets == [1])
        proxy.drop_next(lambda each: b"smessage" in each and b" 2 {" in each)
        proxy.drop_next(lambda each: b"EVALSHA" in each, count=1000, direction=Direction.UP)
        await publish(other.store, 2)
        await trio.sleep(1.0)
        assert node.offsets == [1]
        await until(lambda: node.gaps, within=9.0)
        assert node.offsets == [1, 3]
