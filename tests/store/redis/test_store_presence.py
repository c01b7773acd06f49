"""Presence in Redis: a dead node's clients leave once, audibly if their join was announced."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import pytest
import trio
from attrs import define

from tests.contracts.store_cluster import ANN, BOB, CHANNEL, Node
from tests.servers.standalone import RedisServer, running_redis
from tests.store.redis.store_nodes import OTHER, redis_of, running_node, section_of, until
from wsmesh.config.redis import RedisSection
from wsmesh.protocol.messages import ClientInfo
from wsmesh.store.redis import store as store_module

TTL = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@define
class Two:
    section: RedisSection
    here: Node
    there: Node


@pytest.fixture
async def two(server: RedisServer) -> AsyncGenerator[Two]:
    section = section_of(server.url)
    async with running_node(section, "here/1") as here, running_node(section, "there/1") as there:
        await there.store.subscribe(CHANNEL)
        yield Two(section, here, there)


async def join(node: Node, channel: str, info: ClientInfo, *, announced: bool = True) -> None:
    await node.store.add_presence(channel, info.client, info, TTL)
    if announced:
        await node.store.announce(channel, info, joined=True)


async def test_a_dead_nodes_clients_leave_audibly_if_they_joined_so(two: Two) -> None:
    await join(two.here, CHANNEL, ANN)
    await join(two.here, OTHER, BOB, announced=False)
    assert await redis_of(two.there).forget_node("here/1") == [(OTHER, BOB)]
    await until(lambda: len(two.there.events) == 2)
    assert two.there.events == [(CHANNEL, ANN, True), (CHANNEL, ANN, False)]
    assert await two.there.store.presence(CHANNEL) == {}
    assert await two.there.store.presence(OTHER) == {}


async def test_only_clients_of_that_incarnation_leave(two: Two, server: RedisServer) -> None:
    async with running_node(two.section, "here/11") as later:
        await join(two.here, CHANNEL, ANN)
        await join(later, CHANNEL, BOB)
        assert await redis_of(two.there).forget_node("here/1") == []
        assert await two.there.store.presence(CHANNEL) == {"c2": BOB}


async def test_who_is_back_through_another_node_stays(two: Two) -> None:
    await join(two.here, CHANNEL, ANN)
    await join(two.there, CHANNEL, ANN)
    await redis_of(two.there).forget_node("here/1")
    assert await two.there.store.presence(CHANNEL) == {"c1": ANN}
    await redis_of(two.there).pass_through(CHANNEL)
    assert all(joined for _, _, joined in two.there.events)


async def test_many_leave_in_batches_and_once_though_two_nodes_remove_them(
    two: Two, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "EVICTED_AT_ONCE", 7)
    infos = [ClientInfo(user="u", client=f"c{number}") for number in range(60)]
    for number, info in enumerate(infos):
        await join(two.here, CHANNEL if number % 3 else OTHER, info)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(redis_of(two.there).forget_node, "here/1")
        nursery.start_soon(redis_of(two.here).forget_node, "here/1")
    await redis_of(two.there).pass_through(CHANNEL)
    left = [info.client for _, info, joined in two.there.events if not joined]
    assert sorted(left) == sorted(
        info.client for number, info in enumerate(infos) if number % 3
    )
    assert await redis_of(two.there).forget_node("here/1") == []
    assert server.admin.keys(f"{two.section.prefix}:*") == []


async def test_renewing_keeps_that_the_join_was_announced(two: Two) -> None:
    await join(two.here, CHANNEL, ANN)
    await two.here.store.add_presence(CHANNEL, "c1", ANN, TTL)
    assert await redis_of(two.there).forget_node("here/1") == []
    await until(lambda: [joined for *_, joined in two.there.events] == [True, False])


async def test_who_left_is_not_among_the_clients_of_its_node(
    two: Two, server: RedisServer
) -> None:
    await join(two.here, CHANNEL, ANN)
    await two.here.store.remove_presence(CHANNEL, "c1")
    assert server.admin.keys(f"{two.section.prefix}:*") == []


async def test_a_join_without_presence_is_only_an_event(two: Two, server: RedisServer) -> None:
    await two.here.store.announce(CHANNEL, ANN, joined=True)
    await until(lambda: two.there.events == [(CHANNEL, ANN, True)])
    assert server.admin.keys(f"{two.section.prefix}:*") == []


async def test_what_is_kept_of_presence_expires_with_it(two: Two, server: RedisServer) -> None:
    await join(two.here, CHANNEL, ANN)
    await two.here.store.add_presence(CHANNEL, "c2", BOB, 1.0)
    lives = [server.admin.pttl(key) for key in server.admin.keys(f"{two.section.prefix}:*")]
    assert len(lives) == 3
    assert all(58_000 < life <= TTL * 1000 for life in lives), "renewing never shortens"


async def test_expired_clients_do_not_pile_up(two: Two, server: RedisServer) -> None:
    for number in range(1200):
        info = ClientInfo(client=f"c{number}")
        await two.here.store.add_presence(CHANNEL, info.client, info, 0.001)
    await trio.sleep(0.01)
    await join(two.here, CHANNEL, BOB)
    assert dict(await two.there.store.presence(CHANNEL)) == {"c2": BOB}
    (key,) = server.admin.keys(f"{two.section.prefix}:*:presence:*")
    assert server.admin.hlen(key) == 1


async def test_garbage_among_the_members_of_a_node_is_dropped(
    two: Two, server: RedisServer
) -> None:
    await join(two.here, CHANNEL, ANN)
    (key,) = server.admin.keys(f"{two.section.prefix}:*:members:*")
    server.admin.sadd(key, "garbage", "99:short", "x:y")
    await redis_of(two.there).forget_node("here/1")
    assert await two.there.store.presence(CHANNEL) == {}
    assert redis_of(two.there).counts.garbage == 3
    assert server.admin.keys(f"{two.section.prefix}:*") == []


async def test_names_with_any_characters_leave_too(two: Two) -> None:
    odd = ClientInfo(user="ü", client="1:2\n3")
    await two.there.store.subscribe("a:b\nc")
    await join(two.here, "a:b\nc", odd)
    await redis_of(two.there).forget_node("here/1")
    await until(lambda: len(two.there.events) == 2)
    assert two.there.events[-1] == ("a:b\nc", odd, False)
