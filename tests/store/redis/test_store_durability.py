"""A publish says how durable it is, never more than what replicas and disks have confirmed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from itertools import pairwise

import pytest
import trio
from attrs import define, evolve
from redis.crc import key_slot

from tests.contracts.store_cluster import CHANNEL, KEEPING, KEEPS, Node, message, numbers
from tests.servers.cluster import RedisCluster
from tests.servers.proxy import Proxy, open_proxy
from tests.servers.resp import RespSplitter
from tests.servers.standalone import (
    AOF_ALWAYS,
    MEMORY_ONLY,
    RedisServer,
    running_redis,
    valkey_binary,
)
from tests.store.redis.store_nodes import OTHER, back, redis_of, running_node, section_of, until
from wsmesh.errors import StoreUnavailable
from wsmesh.store.interface import Published, PublishOptions
from wsmesh.store.redis import durability
from wsmesh.store.redis.durability import MOST

REPLICATED = evolve(KEEPING, durability="replicated")
FSYNC = evolve(KEEPING, durability="fsync")
KEYED = evolve(REPLICATED, idempotency_key="once")
PROMPT = {**MEMORY_ONLY, "repl-diskless-sync-delay": 0}


@define
class Pair:
    """A master and its replica, which is cut off by `cut`: a frozen one would get all later."""

    master: RedisServer
    replica: RedisServer
    node: Node

    def cut(self) -> None:
        self.replica.admin.replicaof("NO", "ONE")

    async def join(self) -> None:
        self.replica.admin.replicaof("127.0.0.1", self.master.port)
        with trio.fail_after(10.0), self.master.client(single_connection_client=True) as writer:
            while True:
                writer.set("joined", 1)  # without a write of its own, WAIT has nothing to ask for
                if writer.wait(1, 20):
                    break
                await trio.sleep(0.01)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with running_redis(PROMPT) as master, running_redis(PROMPT) as replica:
        yield master, replica


@pytest.fixture
async def pair(servers: tuple[RedisServer, RedisServer]) -> AsyncGenerator[Pair]:
    master, replica = servers
    section = section_of(master.url, durability_timeout=0.3)
    async with running_node(section) as node:
        pair = Pair(master, replica, node)
        await pair.join()
        yield pair


async def achieved(node: Node, options: PublishOptions) -> str:
    return (await node.store.publish(CHANNEL, message(), options)).durability


async def test_what_replicas_have_is_replicated_and_what_nobody_asked_for_is_not(
    pair: Pair,
) -> None:
    assert await achieved(pair.node, REPLICATED) == "replicated"
    assert await achieved(pair.node, KEEPING) == "memory"
    assert await achieved(pair.node, evolve(REPLICATED, skip_history=True)) == "memory"
    key = f"{redis_of(pair.node)._keyspace.of(CHANNEL).stream.decode()}"
    assert pair.replica.admin.xlen(key) == 2


async def test_without_a_replica_it_is_stored_and_says_so(pair: Pair) -> None:
    await pair.node.store.subscribe(CHANNEL)
    assert await achieved(pair.node, REPLICATED) == "replicated"
    pair.cut()
    began = trio.current_time()
    outcome = await pair.node.store.publish(CHANNEL, message(), REPLICATED)
    assert (outcome.position.offset, outcome.durability) == (2, "memory")
    assert 0.25 < trio.current_time() - began < 1.0
    await until(lambda: pair.node.offsets == [1, 2])
    assert redis_of(pair.node).counts.below_durability == 1
    await pair.join()
    assert await achieved(pair.node, REPLICATED) == "replicated"


async def test_more_replicas_than_there_are_confirm_nothing(
    servers: tuple[RedisServer, RedisServer],
) -> None:
    section = section_of(servers[0].url, durability_timeout=0.1, min_replicas=2)
    async with running_node(section) as node:
        assert await achieved(node, REPLICATED) == "memory"


async def test_many_publications_share_a_wait_and_keep_their_order(pair: Pair) -> None:
    options = evolve(REPLICATED, retention=evolve(KEEPS, size=5000))
    waits = _calls(pair.master, "wait")
    outcomes: list[Published | Exception] = []
    for number in range(2 * MOST + 10):
        pair.node.store.publish_nowait(CHANNEL, message(number), options, outcomes.append)
    await until(lambda: len(outcomes) == 2 * MOST + 10)
    assert all(isinstance(each, Published) for each in outcomes)
    assert {each.durability for each in outcomes if isinstance(each, Published)} == {"replicated"}
    assert [each.position.offset for each in outcomes if isinstance(each, Published)] == list(
        range(1, 2 * MOST + 11)
    )
    assert _calls(pair.master, "wait") - waits <= 4
    stream = await pair.node.store.history(CHANNEL, options.retention, limit=-1)
    assert [int(bytes(each.data)) for each in stream.publications] == list(range(2 * MOST + 10))


async def test_a_repetition_is_as_durable_as_it_says(pair: Pair) -> None:
    """The retry of a publish whose answer was lost, perhaps through another node."""
    first = await pair.node.store.publish(CHANNEL, message(), evolve(KEYED, durability="memory"))
    again = await pair.node.store.publish(CHANNEL, message(), KEYED)
    assert again == Published(first.position, True, "replicated")


@pytest.mark.parametrize("binary", [None, valkey_binary()], ids=["redis", "valkey"])
@pytest.mark.parametrize("options", [KEYED, evolve(REPLICATED, version=5)], ids=["key", "version"])
async def test_a_repetition_confirms_what_another_connection_wrote(
    start_redis: Callable[..., RedisServer], binary: str | None, options: PublishOptions
) -> None:
    """Valkey's WAIT knows only of writes; a repetition that wrote nothing would be confirmed."""
    master, replica = start_redis(PROMPT, binary=binary), start_redis(PROMPT, binary=binary)
    async with running_node(section_of(master.url, durability_timeout=0.3)) as node:
        pair = Pair(master, replica, node)
        await pair.join()
        assert await achieved(node, REPLICATED) == "replicated"
        replica.stop()
        await node.store.publish(CHANNEL, message(), evolve(options, durability="memory"))
        outcome = await node.store.publish(CHANNEL, message(), options)
        assert (outcome.suppressed, outcome.durability) == (True, "memory")
        replica.cont()


async def test_an_old_version_is_as_durable_as_it_says(pair: Pair) -> None:
    versioned = evolve(REPLICATED, version=5)
    assert await achieved(pair.node, versioned) == "replicated"
    outcome = await pair.node.store.publish(CHANNEL, message(), versioned)
    assert (outcome.suppressed, outcome.durability) == (True, "replicated")


async def test_fsync_needs_a_server_that_can(pair: Pair) -> None:
    """Redis before 7.2 has no WAITAOF."""
    assert await achieved(pair.node, FSYNC) == "memory"


async def test_fsync_is_confirmed_by_the_disk(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis(AOF_ALWAYS, binary=valkey_binary())
    async with running_node(section_of(server.url)) as node:
        outcomes: list[Published | Exception] = []
        for number in range(20):
            options = FSYNC if number % 2 else REPLICATED
            node.store.publish_nowait(CHANNEL, message(), options, outcomes.append)
        await until(lambda: len(outcomes) == 20)
        levels = [each.durability for each in outcomes if isinstance(each, Published)]
        assert levels == ["memory", "fsync"] * 10
        server.admin.config_set("appendonly", "no")
        assert await achieved(node, FSYNC) == "memory"
        keys = redis_of(node)._keyspace.of(CHANNEL)
        assert server.admin.xlen(keys.stream) == KEEPS.size


@pytest.fixture
async def proxied(servers: tuple[RedisServer, RedisServer]) -> AsyncGenerator[tuple[Pair, Proxy]]:
    master, replica = servers
    async with open_proxy(master.address, splitter=RespSplitter) as proxy:
        section = section_of(f"redis://127.0.0.1:{proxy.port}", durability_timeout=0.3)
        async with running_node(section) as node:
            pair = Pair(master, replica, node)
            await pair.join()
            yield pair, proxy


async def test_a_new_connection_confirms_nothing_of_the_old_one(
    proxied: tuple[Pair, Proxy]
) -> None:
    """WAIT on a fresh connection would say 1 at once (reliability.md, finding 2)."""
    pair, proxy = proxied
    assert await achieved(pair.node, REPLICATED) == "replicated"
    pair.cut()
    outcomes: list[Published | Exception] = []
    for _ in range(30):
        for _ in range(20):
            pair.node.store.publish_nowait(CHANNEL, message(), REPLICATED, outcomes.append)
        await trio.sleep(0.005)
        proxy.reset()
    await until(lambda: len(outcomes) == 600, within=20.0)
    assert all(
        each.durability == "memory" if isinstance(each, Published)
        else isinstance(each, StoreUnavailable)
        for each in outcomes
    )
    await back(pair.node)
    await pair.join()
    with trio.fail_after(5):
        while True:
            with suppress(StoreUnavailable):
                if await achieved(pair.node, REPLICATED) == "replicated":
                    break
            await trio.sleep(0.02)


async def test_a_publish_that_is_answered_after_wait_is_not_counted(
    proxied: tuple[Pair, Proxy]
) -> None:
    """Its script was forgotten, so the link sends it again, behind WAIT."""
    pair, proxy = proxied
    await achieved(pair.node, REPLICATED)
    pair.master.admin.script_flush()
    outcomes: list[Published | Exception] = []
    for _ in range(3):
        pair.node.store.publish_nowait(CHANNEL, message(), REPLICATED, outcomes.append)
    await until(lambda: len(outcomes) == 3)
    stored = [each for each in outcomes if isinstance(each, Published)]
    assert [each.position.offset for each in stored] == sorted(
        each.position.offset for each in stored
    )
    levels = [each.durability for each in stored]
    assert levels[0] == "memory", "WAIT had been asked before it was stored"
    assert await achieved(pair.node, REPLICATED) == "replicated"


async def test_what_waits_to_be_confirmed_is_bounded(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "MOST_WAITING", 5)
    pair.cut()
    outcomes: list[Published | Exception] = []
    for _ in range(10):
        pair.node.store.publish_nowait(CHANNEL, message(), REPLICATED, outcomes.append)
    refused = [each for each in outcomes if isinstance(each, StoreUnavailable)]
    assert len(refused) == 4
    await until(lambda: len(outcomes) == 10)
    await pair.join()


@pytest.mark.slow
async def test_in_a_cluster_every_shard_confirms_for_itself(redis_cluster: RedisCluster) -> None:
    section = section_of(redis_cluster.url)
    async with running_node(section) as node:
        outcomes: dict[str, list[Published | Exception]] = {}
        for number in range(200):
            channel = f"news:{number % 40}"
            node.store.publish_nowait(
                channel, message(), REPLICATED, outcomes.setdefault(channel, []).append
            )
        await until(lambda: sum(map(len, outcomes.values())) == 200)
        for each in outcomes.values():
            published = [one for one in each if isinstance(one, Published)]
            assert [one.position.offset for one in published] == [1, 2, 3, 4, 5]
            assert {one.durability for one in published} == {"replicated"}


@pytest.mark.slow
async def test_a_slot_that_moves_costs_no_publication(redis_cluster: RedisCluster) -> None:
    """What was published in between is stored once, in order, and never called more than it is."""
    section = section_of(redis_cluster.url)
    options = evolve(REPLICATED, retention=evolve(KEEPS, size=5000))
    async with running_node(section) as node:
        keys = redis_of(node)._keyspace.of(CHANNEL)
        outcomes: list[Published | Exception] = []
        is_moved = False

        async def publish() -> None:
            while not is_moved or len(outcomes) < 200:
                outcomes.append(await node.store.publish(CHANNEL, message(), options))
                await node.store.publish(OTHER, message(), options)

        outcomes.append(await node.store.publish(CHANNEL, message(), options))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            slot = key_slot(keys.meta)
            target = next(
                each for each in redis_cluster.masters
                if each is not redis_cluster.owner_of(slot)
            )
            await redis_cluster.move_slot(slot, target)
            is_moved = True
        outcomes.append(await node.store.publish(CHANNEL, message(), options))
        positions = [each.position for each in outcomes if isinstance(each, Published)]
        assert [each.offset for each in positions] == list(range(1, len(outcomes) + 1))
        changes = [one for one, other in pairwise(positions) if one.epoch != other.epoch]
        assert len(changes) == 1, "another master has another history of writes"
        stream = await node.store.history(CHANNEL, options.retention, limit=-1)
        assert numbers(stream.publications) == [each.offset for each in positions]


def _calls(server: RedisServer, command: str) -> int:
    stats = server.admin.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))
