"""What nodes share of users, over two connections to a real Redis."""

from __future__ import annotations

import math
import random
import time
from collections.abc import AsyncGenerator, Iterator
from uuid import uuid4

import pytest
import trio

from tests.servers.standalone import RedisServer, running_redis
from wsmesh.config.redis import RedisSection
from wsmesh.errors import StoreUnavailable
from wsmesh.security.rate import Rate
from wsmesh.security.revocation import RevocationsFull
from wsmesh.store.redis import users as users_module
from wsmesh.store.redis.client import open_redis
from wsmesh.store.redis.users import RedisUsers

TTL = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def pair(server: RedisServer) -> AsyncGenerator[tuple[RedisUsers, RedisUsers]]:
    section = RedisSection(url=server.url)
    prefix = f"t{uuid4()}"
    async with (
        open_redis(section, rng=random.Random(1)) as here,
        open_redis(section, rng=random.Random(2)) as there,
    ):
        yield RedisUsers(here, prefix, 16), RedisUsers(there, prefix, 16)


async def admit(
    users: RedisUsers, client: str, owner: str, gone: tuple[str, ...] = (), ttl: float = TTL
) -> tuple[bool, frozenset[str]]:
    return await users.admit_connection("ann", client, owner, limit=2, ttl=ttl, gone=gone)


async def test_a_users_connections_are_counted_on_all_nodes(
    pair: tuple[RedisUsers, RedisUsers]
) -> None:
    here, there = pair
    assert await admit(here, "c1", "a/1") == (True, frozenset())
    assert await admit(there, "c2", "b/1") == (True, frozenset({"a/1"}))
    assert await admit(here, "c3", "a/1") == (False, frozenset({"a/1", "b/1"}))
    assert await admit(here, "c1", "a/1") == (True, frozenset({"b/1"})), "counted already"
    assert (await there.admit_connection("bob", "c3", "b/1", limit=2, ttl=TTL))[0]
    await there.end_connections([("ann", "c2", "b/1"), ("nobody", "x", "b/1")])
    assert await admit(here, "c3", "a/1") == (True, frozenset({"a/1"}))


async def test_connections_of_nodes_that_are_gone_count_no_more(
    pair: tuple[RedisUsers, RedisUsers]
) -> None:
    here, there = pair
    await admit(here, "c1", "a/1")
    await admit(here, "c2", "a/1")
    assert not (await admit(there, "c3", "b/1"))[0]
    assert await admit(there, "c3", "b/1", gone=("a/1",)) == (True, frozenset())


async def test_what_is_not_renewed_stops_counting(pair: tuple[RedisUsers, RedisUsers]) -> None:
    here, there = pair
    await admit(here, "c1", "a/1", ttl=0.2)
    await admit(here, "c2", "a/1", ttl=0.2)
    await here.renew_connections([("ann", "c2")], "a/1", TTL)
    await trio.sleep(0.3)
    assert await admit(there, "c3", "b/1") == (True, frozenset({"a/1"}))
    await here.renew_connections([], "a/1", TTL)


async def test_a_burst_then_the_rate_wherever_it_is_spent(
    pair: tuple[RedisUsers, RedisUsers]
) -> None:
    here, there = pair
    rate = Rate(10.0, 20)
    leases = [await store.lease_messages("ann", 8, rate) for store in (here, there, here)]
    assert [lease.granted for lease in leases[:2]] == [8, 8]
    assert 4 <= leases[2].granted <= 5
    empty = await there.lease_messages("ann", 8, rate)
    assert empty.granted <= 1
    if not empty.granted:
        assert 0 < empty.wait <= 0.1
    assert (await here.lease_messages("bob", 8, rate)).granted == 8


async def test_revocations_are_read_once_and_all_by_whoever_comes_new(
    pair: tuple[RedisUsers, RedisUsers], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    monkeypatch.setattr(users_module, "AT_ONCE", 2)
    until = time.time() + 60
    for number in range(5):
        await here.add_revocation(b"%d" % number, until)
    await here.add_revocation(b"ended", time.time() - 1)
    first = await there.revocations()
    assert first.entries == (b"0", b"1", b"2", b"3", b"4")
    assert (await there.revocations(first.version)).entries == ()
    await here.add_revocation(b"1", until + 5)
    await here.add_revocation(b"far", math.inf)
    assert (await there.revocations(first.version)).entries == (b"1", b"far")
    assert len((await here.revocations()).entries) == 6


async def test_a_server_without_its_memory_is_read_on(
    pair: tuple[RedisUsers, RedisUsers], server: RedisServer
) -> None:
    here, there = pair
    await here.add_revocation(b"old", time.time() + 60)
    version = (await there.revocations()).version
    server.admin.flushall()
    await here.add_revocation(b"new", time.time() + 60)
    assert (await there.revocations(version)).entries == (b"new",)


async def test_too_many_revocations_are_refused(
    pair: tuple[RedisUsers, RedisUsers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_module, "MOST_REVOCATIONS", 1)
    until = time.time() + 60
    await pair[0].add_revocation(b"one", until)
    await pair[0].add_revocation(b"one", until + 1)
    with pytest.raises(RevocationsFull):
        await pair[0].add_revocation(b"two", until)


@pytest.mark.parametrize("kind", ["string", "list"])
async def test_garbage_in_a_key_is_written_over(
    pair: tuple[RedisUsers, RedisUsers], server: RedisServer, kind: str
) -> None:
    here, _ = pair
    rate = Rate(10.0, 20)
    await admit(here, "c1", "a/1")
    await here.lease_messages("ann", 1, rate)
    await here.add_revocation(b"one", time.time() + 60)
    for key in server.admin.keys(f"{here._prefix.decode()}*"):
        server.admin.delete(key)
        server.admin.set(key, "?") if kind == "string" else server.admin.lpush(key, "?")
    assert (await here.revocations()).entries == ()
    await here.renew_connections([("ann", "c1")], "a/1", TTL)
    assert await admit(here, "c2", "a/1") == (True, frozenset({"a/1"}))
    assert (await here.lease_messages("ann", 5, rate)).granted == 5
    await here.add_revocation(b"two", time.time() + 60)
    assert (await here.revocations()).entries == (b"two",)


async def test_an_outage_is_told(server: RedisServer) -> None:
    with running_redis() as other:
        async with open_redis(RedisSection(url=other.url), rng=random.Random(1)) as redis:
            users = RedisUsers(redis, "t", 16)
            await admit(users, "c1", "a/1")
            other.kill()
            for attempt in (
                lambda: admit(users, "c1", "a/1"),
                lambda: users.renew_connections([("ann", "c1")], "a/1", TTL),
                lambda: users.lease_messages("ann", 1, Rate(10.0, 20)),
                users.revocations,
            ):
                with pytest.raises(StoreUnavailable):
                    await attempt()
