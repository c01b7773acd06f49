"""Whatever Redis forgets or rolls back is told: the epoch changes, and no position is believed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
import trio

from tests.contracts.store_cluster import (
    CHANNEL,
    KEEPING,
    KEEPS,
    Node,
    message,
    numbers,
    publish,
)
from tests.servers.standalone import AOF_ALWAYS, MEMORY_ONLY, RedisServer, running_redis
from tests.store.redis.store_nodes import again, back, redis_of, running_node, section_of, until
from wsmesh.errors import StoreUnavailable
from wsmesh.store.interface import Position, Published, PublishOptions
from wsmesh.store.redis.epochs import Epochs
from wsmesh.store.redis.keys import Keyspace


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


async def is_told(node: Node, before: Position) -> None:
    """Expect that who was at `before` is told to start over, and that the channel works again."""
    await until(lambda: node.gaps, within=10.0)
    found = await again(lambda: node.store.recover(CHANNEL, before, KEEPS, 100))
    assert not found.recovered
    assert found.top.epoch != before.epoch
    node.heard.clear()
    position = (await node.store.publish(CHANNEL, message(), KEEPING)).position
    assert position == Position(found.top.epoch, found.top.offset + 1)
    await until(lambda: node.heard)
    assert node.heard[0][2] == position
    assert len(set(node.gaps)) == 1


@pytest.mark.parametrize("restart", [RedisServer.restart, RedisServer.restart_empty])
async def test_a_restart_begins_another_epoch_and_subscribers_are_told(
    restart: Callable[[RedisServer], None], redis_server: RedisServer
) -> None:
    async with running_node(section_of(redis_server.url)) as node:
        await node.store.subscribe(CHANNEL)
        before = await publish(node.store, 3)
        await until(lambda: node.offsets == [1, 2, 3])
        restart(redis_server)
        await back(node)
        await is_told(node, before)


async def test_offsets_go_on_after_a_restart_with_data(
    start_redis: Callable[..., RedisServer]
) -> None:
    server = start_redis(AOF_ALWAYS)
    async with running_node(section_of(server.url)) as node:
        before = await publish(node.store, 3)
        server.kill()
        server.start()
        await back(node)
        after = await publish(node.store, 1)
        assert after.offset == 4
        assert after.epoch != before.epoch
        stream = await node.store.history(CHANNEL, KEEPS, limit=-1)
        assert numbers(stream.publications) == [1, 2, 3, 4]
        assert redis_of(node).counts.failovers == 1


async def test_a_promoted_replica_that_missed_the_end_gives_out_no_offset_twice_in_an_epoch(
    start_redis: Callable[..., RedisServer]
) -> None:
    """reliability.md, finding 1: both masters would acknowledge 4 to 6 in one epoch."""
    prompt = {**MEMORY_ONLY, "repl-diskless-sync-delay": 0}
    old, new = start_redis(prompt), start_redis(prompt)
    new.admin.replicaof("127.0.0.1", old.port)
    section = section_of(old.url)
    async with running_node(section, "old/1") as node:
        before = await publish(node.store, 3)
        with trio.fail_after(10):
            while old.admin.wait(1, 100) < 1:
                await trio.sleep(0.01)
        new.admin.replicaof("NO", "ONE")
        lost = await publish(node.store, 3)
    assert lost == Position(before.epoch, 6)
    moved = section_of(new.url)
    object.__setattr__(moved, "prefix", section.prefix)
    async with running_node(moved, "new/1") as node:
        after = await publish(node.store, 3)
        assert after.offset == 6
        assert after.epoch != before.epoch
        for since in (before, lost):
            assert not (await node.store.recover(CHANNEL, since, KEEPS, 100)).recovered
        assert redis_of(node).counts.failovers == 1


def meta_of(server: RedisServer, prefix: str) -> str:
    (key,) = server.admin.keys(f"{prefix}:*:meta:{CHANNEL}")
    return str(key)


@pytest.mark.parametrize("how", ["publish", "top", "check"])
async def test_a_top_that_goes_back_in_its_epoch_is_a_rollback(
    how: str, server: RedisServer
) -> None:
    section = section_of(server.url)
    async with running_node(section, check_period=0.1 if how == "check" else 60.0) as node:
        await node.store.subscribe(CHANNEL)
        before = await publish(node.store, 5)
        await until(lambda: len(node.heard) == 5)
        server.admin.hset(meta_of(server, section.prefix), "s", 3)
        keys = Keyspace(section.prefix, section.partitions).of(CHANNEL)
        for offset in (4, 5):
            server.admin.xdel(keys.stream, f"{offset}-0")
        server.admin.execute_command("XSETID", keys.stream, "3-0")
        if how == "publish":
            outcome = await node.store.publish(CHANNEL, message(), KEEPING)
            assert outcome.position.offset == 4
            assert outcome.position.epoch != before.epoch
        elif how == "top":
            top = await again(lambda: node.store.top(CHANNEL, KEEPS))
            assert top.offset == 3
            assert top.epoch != before.epoch
        await is_told(node, before)
        assert redis_of(node).counts.rollbacks == 1


async def test_a_read_for_a_subscription_fails_when_what_it_keeps_is_of_another_epoch(
    server: RedisServer,
) -> None:
    """Kept publications with higher offsets would be taken for the continuation."""
    section = section_of(server.url)
    keys = Keyspace(section.prefix, section.partitions).of(CHANNEL)
    async with running_node(section) as node:
        for is_known in (False, True):
            await node.store.subscribe(CHANNEL)
            if is_known:
                await publish(node.store, 3)
            else:
                server.admin.spublish(keys.shard, b'p Former 9 {"data":1}')
                await until(lambda: node.heard)
                with pytest.raises(StoreUnavailable, match="lost"):
                    await node.store.top(CHANNEL, KEEPS)
            assert (await node.store.top(CHANNEL, KEEPS)).epoch != "Former"
            await node.store.unsubscribe(CHANNEL)


async def test_a_stream_that_is_gone_is_told_to_subscribers(server: RedisServer) -> None:
    section = section_of(server.url)
    async with running_node(section, check_period=0.1) as node:
        await node.store.subscribe(CHANNEL)
        before = await publish(node.store, 2)
        server.admin.delete(meta_of(server, section.prefix))
        await is_told(node, before)


async def test_entries_of_a_stream_that_is_gone_do_not_come_back(server: RedisServer) -> None:
    section = section_of(server.url)
    async with running_node(section) as node:
        for read_first in (False, True):
            before = await publish(node.store, 2)
            server.admin.delete(meta_of(server, section.prefix))
            if read_first:
                assert (await node.store.history(CHANNEL, KEEPS, limit=-1)).publications == ()
            after = await publish(node.store, 1)
            assert after.offset == 1
            assert after.epoch != before.epoch
            stream = await node.store.history(CHANNEL, KEEPS, limit=-1)
            assert numbers(stream.publications) == [1]
        assert redis_of(node).counts.quarantined == 0


async def test_a_repair_begins_no_stream(server: RedisServer) -> None:
    section = section_of(server.url)
    keys = Keyspace(section.prefix, section.partitions).of(CHANNEL)
    async with running_node(section) as node:
        await node.store.subscribe(CHANNEL)
        for offset in (1, 3):
            server.admin.execute_command(
                "SPUBLISH", keys.shard, b'p Gone %d {"data":1}' % offset
            )
        await until(lambda: node.offsets == [1, 3])
        assert node.gaps == [CHANNEL]
        assert server.admin.keys(f"{section.prefix}:*") == []


async def test_a_check_begins_no_stream(server: RedisServer) -> None:
    section = section_of(server.url)
    async with running_node(section, check_period=0.05) as node:
        await node.store.subscribe(CHANNEL)
        await publish(node.store, 1)
        keys = server.admin.keys(f"{section.prefix}:*")
        server.admin.delete(*keys)
        await until(lambda: node.gaps)
        await trio.sleep(0.2)
        assert server.admin.keys(f"{section.prefix}:*") == []
        assert len(node.gaps) == 1


async def test_everything_that_is_stored_expires(server: RedisServer) -> None:
    section = section_of(server.url)
    async with running_node(section) as node:
        await node.store.subscribe(CHANNEL)
        await publish(node.store, 1)
        await node.store.top("news:read", KEEPS)
        lives = [server.admin.pttl(key) for key in server.admin.keys(f"{section.prefix}:*")]
        assert len(lives) == 3
        assert all(0 < life <= KEEPS.meta_ttl * 1000 for life in lives)


def test_names_of_epochs_are_given_out_once() -> None:
    first, second = Epochs(random.Random(1)), Epochs(random.Random(2))
    names = [source.fresh() for source in (first, second) for _ in range(1000)]
    assert len(set(names)) == 2000
    assert all(name.isascii() and name.isalnum() for name in names)


async def test_versions_and_keys_survive_a_change_of_epoch(
    start_redis: Callable[..., RedisServer]
) -> None:
    server = start_redis(AOF_ALWAYS)
    async with running_node(section_of(server.url)) as node:
        keyed = PublishOptions(retention=KEEPS, idempotency_key="once")
        versioned = PublishOptions(retention=KEEPS, version=7)
        first = await node.store.publish(CHANNEL, message(1), keyed)
        await node.store.publish(CHANNEL, message(2), versioned)
        server.restart()
        await back(node)
        assert await node.store.publish(CHANNEL, message(3), keyed) == Published(
            first.position, suppressed=True
        )
        again = await node.store.publish(CHANNEL, message(4), versioned)
        assert again.suppressed
        assert again.position.offset == 2
        assert again.position.epoch != first.position.epoch
        assert await node.store.top(CHANNEL, KEEPS) == again.position
