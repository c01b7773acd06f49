"""What no node wrote is put aside and counted; nothing crashes, and no position is believed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator

import pytest
from attrs import define

from tests.contracts.store_cluster import (
    ANN,
    BOB,
    CHANNEL,
    KEEPING,
    KEEPS,
    Node,
    message,
    numbers,
    publish,
)
from tests.servers.standalone import RedisServer, running_redis
from tests.store.redis.store_nodes import again, redis_of, running_node, section_of, until
from wsmesh.errors import StoreUnavailable
from wsmesh.store.interface import Position, PublishOptions
from wsmesh.store.redis.keys import Keyspace, quarantine_of

KEYED = PublishOptions(retention=KEEPS, idempotency_key="once")
PLAIN_KEYED = PublishOptions(idempotency_key="once")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@define
class Case:
    node: Node
    server: RedisServer
    space: Keyspace

    def key(self, kind: str) -> bytes:
        keys = self.space.of(CHANNEL)
        if kind == "outcome":
            return self.space.outcome(keys, "once")
        if kind == "members":
            return self.space.members(keys.partition, "node/1")
        key: bytes = getattr(keys, kind)
        return key

    def spoil(self, kind: str, how: str) -> None:
        """Put something else where a kind of thing is."""
        admin, key = self.server.admin, self.key(kind)
        if how == "type":
            admin.delete(key)
            admin.lpush(key, "foreign")
        else:
            SPOILING[how](admin, key)

    def is_aside(self, kind: str) -> bool:
        aside = quarantine_of(self.key(kind))
        return bool(self.server.admin.pttl(aside) > 80_000_000)


SPOILING: dict[str, Callable[..., object]] = {
    "top is text": lambda admin, key: admin.hset(key, "s", "many"),
    "top is negative": lambda admin, key: admin.hset(key, "s", "-5"),
    "top is huge": lambda admin, key: admin.hset(key, "s", "9" * 30),
    "top is gone": lambda admin, key: admin.hdel(key, "s"),
    "epoch is empty": lambda admin, key: admin.hset(key, "e", ""),
    "epoch has spaces": lambda admin, key: admin.hset(key, "e", "a 7 {}"),
    "only foreign fields": lambda admin, key: (admin.delete(key), admin.hset(key, "x", "y")),
    "an entry is no JSON": lambda admin, key: admin.xadd(key, {"p": "{"}, "9-0"),
    "an entry has other fields": lambda admin, key: admin.xadd(key, {"q": "1"}, "9-0"),
    "an entry has another id": lambda admin, key: admin.xadd(key, {"p": '{"data":1}'}, "9-7"),
    "outcome is text": lambda admin, key: admin.set(key, "yes"),
}
META = [how for how in SPOILING if how.startswith(("top", "epoch", "only"))]
ENTRIES = [how for how in SPOILING if how.startswith("an entry")]


@pytest.fixture
async def case(server: RedisServer) -> AsyncGenerator[Case]:
    section = section_of(server.url)
    async with running_node(section) as node:
        await node.store.subscribe(CHANNEL)
        yield Case(node, server, Keyspace(section.prefix, section.partitions))


async def starts_over(case: Case, before: Position) -> None:
    """Expect a stream that works, of another epoch, and subscribers that were told."""
    store = case.node.store
    assert not (await again(lambda: store.recover(CHANNEL, before, KEEPS, 100))).recovered
    after = (await store.publish(CHANNEL, message(), KEEPING)).position
    assert after.epoch != before.epoch
    stream = await again(lambda: store.history(CHANNEL, KEEPS, limit=-1))
    assert numbers(stream.publications)[-1] == after.offset
    await until(lambda: case.node.heard[-1][2] == after)
    assert CHANNEL in case.node.gaps
    assert redis_of(case.node).counts.quarantined >= 1


@pytest.mark.parametrize("how", ["type", *META])
async def test_a_read_puts_corrupt_meta_aside(case: Case, how: str) -> None:
    before = await publish(case.node.store, 3)
    case.spoil("meta", how)
    top = await again(lambda: case.node.store.top(CHANNEL, KEEPS))
    assert top.offset == 0
    assert case.is_aside("meta")
    await starts_over(case, before)


@pytest.mark.parametrize("how", ["type", *META])
@pytest.mark.parametrize("options", [KEEPING, KEYED], ids=["plain", "keyed"])
async def test_a_publish_into_a_corrupt_stream_fails_once(
    case: Case, how: str, options: PublishOptions
) -> None:
    before = await publish(case.node.store, 3)
    case.spoil("meta", how)
    with pytest.raises(StoreUnavailable, match="corrupt"):
        await case.node.store.publish(CHANNEL, message(), options)
    assert case.is_aside("meta")
    assert (await case.node.store.publish(CHANNEL, message(), options)).position.offset == 1
    await starts_over(case, before)


@pytest.mark.parametrize("how", ["type", *ENTRIES])
async def test_a_read_puts_a_corrupt_stream_aside(case: Case, how: str) -> None:
    before = await publish(case.node.store, 3)
    case.spoil("stream", how)
    stream = await again(lambda: case.node.store.history(CHANNEL, KEEPS, limit=-1))
    assert stream.publications == ()
    assert case.is_aside("stream")
    await starts_over(case, before)


@pytest.mark.parametrize("how", ["type", "an entry has another id"])
async def test_a_publish_behind_a_corrupt_stream_fails_once(case: Case, how: str) -> None:
    before = await publish(case.node.store, 3)
    case.spoil("stream", how)
    with pytest.raises(StoreUnavailable, match="corrupt"):
        await case.node.store.publish(CHANNEL, message(), KEEPING)
    assert case.is_aside("stream")
    assert (await case.node.store.publish(CHANNEL, message(), KEEPING)).position.offset == 1
    await starts_over(case, before)


async def test_a_corrupt_stream_is_not_recovered_from(case: Case) -> None:
    before = await publish(case.node.store, 3)
    case.server.admin.xdel(case.key("stream"), "2-0")
    assert not (
        await case.node.store.recover(CHANNEL, Position(before.epoch, 1), KEEPS, 100)
    ).recovered
    case.spoil("stream", "an entry is no JSON")
    case.server.admin.hset(case.key("meta"), "s", 9)
    found = await again(
        lambda: case.node.store.recover(CHANNEL, Position(before.epoch, 8), KEEPS, 100)
    )
    assert not found.recovered
    assert case.is_aside("stream")


@pytest.mark.parametrize("options", [KEYED, PLAIN_KEYED], ids=["history", "no history"])
@pytest.mark.parametrize("how", ["type", "outcome is text"])
async def test_a_corrupt_outcome_is_put_aside(
    case: Case, options: PublishOptions, how: str
) -> None:
    await case.node.store.publish(CHANNEL, message(), options)
    case.spoil("outcome", how)
    with pytest.raises(StoreUnavailable, match="corrupt"):
        await case.node.store.publish(CHANNEL, message(), options)
    assert case.is_aside("outcome")
    assert not case.is_aside("meta")
    assert not (await case.node.store.publish(CHANNEL, message(), options)).suppressed


async def test_the_check_puts_corrupt_meta_aside(server: RedisServer) -> None:
    section = section_of(server.url)
    async with running_node(section, check_period=0.1) as node:
        case = Case(node, server, Keyspace(section.prefix, section.partitions))
        await node.store.subscribe(CHANNEL)
        before = await publish(node.store, 2)
        case.spoil("meta", "type")
        await until(lambda: node.gaps)
        await starts_over(case, before)


@pytest.mark.parametrize("kind", ["entries", "until", "members"])
async def test_presence_survives_a_key_of_another_type(case: Case, kind: str) -> None:
    store = case.node.store
    await store.add_presence(CHANNEL, "c1", ANN, 60.0)
    case.spoil(kind, "type")
    if kind != "members":
        assert await store.presence(CHANNEL) == {}
        assert case.is_aside(kind)
        case.spoil(kind, "type")
    await store.add_presence(CHANNEL, "c2", BOB, 60.0)
    assert case.is_aside(kind)
    assert (await store.presence(CHANNEL))["c2"] == BOB
    case.spoil(kind, "type")
    await store.remove_presence(CHANNEL, "c2")
    assert "c2" not in await store.presence(CHANNEL)
    case.spoil(kind, "type")
    await store.announce(CHANNEL, ANN, joined=True)
    await until(lambda: case.node.events)
    await redis_of(case.node).forget_node("node/1")


async def test_a_corrupt_presence_entry_is_left_out_and_counted(case: Case) -> None:
    store = case.node.store
    await store.add_presence(CHANNEL, "c1", ANN, 60.0)
    await store.add_presence(CHANNEL, "c2", BOB, 60.0)
    case.server.admin.hset(case.key("entries"), "c1", "garbage")
    assert await store.presence(CHANNEL) == {"c2": BOB}
    assert redis_of(case.node).counts.garbage == 1
    await store.announce(CHANNEL, ANN, joined=True)
    await store.add_presence(CHANNEL, "c1", ANN, 60.0)
    assert set(await store.presence(CHANNEL)) == {"c1", "c2"}


async def test_the_dead_nodes_members_behind_a_corrupt_entry_still_leave(case: Case) -> None:
    store = case.node.store
    for info in (ANN, BOB):
        await store.add_presence(CHANNEL, info.client, info, 60.0)
    case.spoil("entries", "type")
    assert await redis_of(case.node).forget_node("node/1") == []
    assert await store.presence(CHANNEL) == {}
