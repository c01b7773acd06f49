"""What pub/sub loses, repeats or garbles reaches the node once and in order, or as a gap."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import pytest
import trio
from attrs import evolve

from tests.contracts.store_cluster import (
    ANN,
    CHANNEL,
    KEEPING,
    KEEPS,
    PASSING,
    Node,
    message,
    numbers,
    publish,
)
from tests.servers.proxy import Proxy, open_proxy
from tests.servers.resp import RespSplitter
from tests.servers.standalone import RedisServer, running_redis
from tests.store.redis.store_nodes import back, redis_of, running_node, section_of, until
from wsmesh.config.redis import RedisSection
from wsmesh.errors import StoreUnavailable
from wsmesh.store.interface import Position, PublishOptions, Retention
from wsmesh.store.redis.keys import Keyspace

TINY = PublishOptions(retention=Retention(size=1, ttl=10.0))


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
def section(server: RedisServer) -> RedisSection:
    return section_of(server.url)


@pytest.fixture
async def proxy(server: RedisServer) -> AsyncGenerator[Proxy]:
    async with open_proxy(server.address, splitter=RespSplitter) as proxy:
        yield proxy


@pytest.fixture
async def node(section: RedisSection, proxy: Proxy) -> AsyncGenerator[Node]:
    """A node that hears Redis through the proxy."""
    through = evolve(section, url=f"redis://127.0.0.1:{proxy.port}")
    async with running_node(through, "lossy/1", check_period=0.2) as node:
        await node.store.subscribe(CHANNEL)
        yield node


@pytest.fixture
async def other(section: RedisSection) -> AsyncGenerator[Node]:
    """A node that hears Redis directly."""
    async with running_node(section, "other/1") as other:
        yield other


def names(offset: int) -> bytes:
    """Return what only the message of that offset contains."""
    return b" %d {" % offset


def lose(proxy: Proxy, *offsets: int) -> None:
    for offset in offsets:
        proxy.drop_next(lambda each, wanted=names(offset): b"smessage" in each and wanted in each)


@pytest.mark.parametrize("lost", [[2], [2, 3], [2, 4], [3, 5, 6]])
async def test_lost_messages_are_read_from_the_stream(
    node: Node, other: Node, proxy: Proxy, lost: list[int]
) -> None:
    await publish(other.store, 1, PublishOptions(retention=Retention(size=50, ttl=10.0)))
    lose(proxy, *lost)
    await publish(other.store, 7, PublishOptions(retention=Retention(size=50, ttl=10.0)))
    await until(lambda: len(node.heard) >= 8)
    assert node.offsets == list(range(1, 9))
    assert [int(bytes(each.data)) for _, each, _ in node.heard] == [1, 1, 2, 3, 4, 5, 6, 7]
    assert node.gaps == []
    assert redis_of(node).counts.repaired >= len(lost)


async def test_a_loss_that_no_later_message_shows_is_noticed_by_the_check(
    node: Node, other: Node, proxy: Proxy
) -> None:
    await publish(other.store, 1)
    lose(proxy, 2)
    await publish(other.store, 1)
    await until(lambda: node.offsets == [1, 2], within=1.0)
    assert node.gaps == []


async def test_what_is_trimmed_before_it_could_be_read_is_a_gap(
    node: Node, other: Node, proxy: Proxy
) -> None:
    await publish(other.store, 1, TINY)
    lose(proxy, 2)
    await publish(other.store, 3, TINY)
    await until(lambda: node.offsets == [1, 3, 4])
    assert node.gaps == [CHANNEL]
    await publish(other.store, 1, TINY)
    await until(lambda: node.offsets == [1, 3, 4, 5])


async def test_who_subscribes_misses_nothing_between_hearing_and_reading(
    node: Node, other: Node, proxy: Proxy
) -> None:
    """The first message after the subscription is lost: the read's top shows it."""
    await publish(other.store, 3)
    await until(lambda: len(node.heard) == 3)
    await node.store.unsubscribe(CHANNEL)
    node.heard.clear()
    await node.store.subscribe(CHANNEL)
    lose(proxy, 4)
    await publish(other.store, 1)
    top = await node.store.top(CHANNEL, KEEPS)
    assert top.offset == 4
    await publish(other.store, 1)
    await until(lambda: node.offsets == [5])


async def test_when_a_read_returns_what_it_counted_has_been_delivered(
    node: Node, other: Node, proxy: Proxy
) -> None:
    """Else a subscriber would get again what it had recovered."""
    await publish(other.store, 2)
    await until(lambda: len(node.heard) == 2)
    for offset in range(3, 9):
        lose(proxy, *([offset] if offset % 3 == 0 else []))
        await publish(other.store, 1, PublishOptions(retention=Retention(size=50, ttl=10.0)))
        top = await node.store.top(CHANNEL, KEEPS)
        assert node.offsets == list(range(1, top.offset + 1))


async def test_publications_come_once_though_they_are_heard_twice(
    node: Node, other: Node, server: RedisServer, section: RedisSection
) -> None:
    keys = Keyspace(section.prefix, section.partitions).of(CHANNEL)
    top = await publish(other.store, 3)
    for offset in (3, 2):
        again = b'p %s %d {"data":1}' % (top.epoch.encode(), offset)
        with server.client() as client:
            client.spublish(keys.shard, again)
    await publish(other.store, 1)
    await until(lambda: node.offsets == [1, 2, 3, 4])
    assert redis_of(node).counts.duplicates == 2


async def test_garbage_and_kinds_of_a_later_release_are_counted_and_cost_nothing_else(
    node: Node, other: Node, server: RedisServer, section: RedisSection
) -> None:
    keys = Keyspace(section.prefix, section.partitions).of(CHANNEL)
    with server.client() as client:
        for each in (b"", b"\xff", b"p x", b'n {"data":', b"z new", b"y 1", b"p e 5 {}"):
            client.spublish(keys.shard, each)
    await publish(other.store, 2)
    await until(lambda: node.offsets == [1, 2])
    counts = redis_of(node).counts
    assert (counts.garbage, counts.unknown) == (5, 2)


async def test_a_stray_message_of_another_epoch_changes_nothing(
    node: Node, other: Node, server: RedisServer, section: RedisSection
) -> None:
    keys = Keyspace(section.prefix, section.partitions).of(CHANNEL)
    await publish(other.store, 2)
    with server.client() as client:
        client.spublish(keys.shard, b'p Former 9 {"data":1}')
    await publish(other.store, 1)
    await until(lambda: node.offsets == [1, 2, 3])
    assert node.gaps == []
    assert redis_of(node).counts.stale == 1


async def test_publications_with_and_without_a_position_mix(node: Node, other: Node) -> None:
    await publish(other.store, 1)
    await other.store.publish(CHANNEL, message(), PASSING)
    await publish(other.store, 1)
    await until(lambda: node.offsets == [1, 0, 2])


async def test_a_listener_that_raises_costs_nobody_else_anything(
    section: RedisSection, other: Node
) -> None:
    async with running_node(section, "faulty/1") as node:
        heard: list[int] = []

        def fail(*_: object) -> None:
            heard.append(1)
            raise RuntimeError("a listener's fault")

        node.store.listen(fail, fail, fail)
        await node.store.subscribe(CHANNEL)
        await publish(other.store, 2)
        await other.store.announce(CHANNEL, ANN, True)
        await until(lambda: len(heard) == 3)
        await other.store.remove_history(CHANNEL)
        await redis_of(node).pass_through(CHANNEL)
        assert redis_of(node).counts.listener_faults == 3
        await redis_of(node).check()


async def test_after_its_connection_was_lost_the_node_reads_what_it_missed(
    node: Node, other: Node, server: RedisServer, proxy: Proxy
) -> None:
    await publish(other.store, 1)
    await until(lambda: node.offsets == [1])
    proxy.down()
    proxy.reset()
    await publish(other.store, 3)
    await proxy.heal()
    await until(lambda: node.offsets == [1, 2, 3, 4])
    assert node.gaps == []


async def test_what_is_published_while_the_subscriber_is_killed_arrives(
    section: RedisSection, other: Node, server: RedisServer
) -> None:
    async with running_node(section, "killed/1", check_period=60.0) as node:
        await node.store.subscribe(CHANNEL)
        await publish(other.store, 1)
        for _ in range(10):
            server.admin.client_kill_filter(_type="pubsub")
            await publish(other.store, 2, PublishOptions(retention=Retention(size=99, ttl=10.0)))
            await trio.sleep(0.02)
        await until(lambda: node.offsets[-1:] == [21])
        assert node.offsets == list(range(1, 22))
        assert node.gaps == []


async def test_reading_in_parallel_with_publishing_stays_in_step(
    node: Node, other: Node, proxy: Proxy
) -> None:
    """Recoveries and deliveries of a busy channel fit together, whatever is lost."""
    options = PublishOptions(retention=Retention(size=500, ttl=10.0))
    for offset in range(5, 200, 13):
        lose(proxy, offset)

    async def read() -> None:
        since = Position()
        while since.offset < 200:
            found = await node.store.recover(CHANNEL, since, options.retention, 500)
            assert found.recovered
            assert numbers(found.publications) == list(
                range(since.offset + 1, found.top.offset + 1)
            )
            assert node.offsets[: found.top.offset] == list(range(1, found.top.offset + 1))
            since = found.top

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await publish(other.store, 200, options)
    await until(lambda: len(node.heard) >= 200)
    assert node.offsets == list(range(1, 201))


async def test_a_subscription_that_is_not_confirmed_is_not_held(
    server: RedisServer, section: RedisSection
) -> None:
    async with running_node(section, "late/1") as node:
        server.stop()
        try:
            with pytest.raises(StoreUnavailable):
                await node.store.subscribe(CHANNEL)
        finally:
            server.cont()
        with trio.CancelScope() as scope:
            scope.cancel()
            await node.store.subscribe("news:cancelled")
        assert scope.cancelled_caught
        await back(node)
        await redis_of(node).pass_through(CHANNEL)
        await node.store.subscribe(CHANNEL)
        await node.store.publish(CHANNEL, message(), KEEPING)
        await until(lambda: node.offsets == [1])
