"""Sessions in Redis keep the contract over two nodes, and garbage in their keys is no session."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterator
from uuid import uuid4

import pytest
import trio
from attrs import evolve

from tests.contracts.sessions import ENTRY, SECRETS, TTL, SessionContract, Shared
from tests.servers.standalone import RedisServer, running_redis
from wsmesh.config.redis import RedisSection
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.client import open_redis
from wsmesh.store.redis.sessions import RedisSessions


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def shared(server: RedisServer) -> AsyncGenerator[Shared]:
    section = RedisSection(url=server.url)
    async with (
        open_redis(section, rng=random.Random(1)) as here,
        open_redis(section, rng=random.Random(2)) as there,
    ):
        yield Shared(RedisSessions(here, "t", 16), RedisSessions(there, "t", 16), trio.sleep)


class TestRedisSessions(SessionContract):
    pass


GARBAGE = ("string", "list", "hash", "record")


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_is_no_session_and_is_written_over(
    kind: str, shared: Shared, server: RedisServer
) -> None:
    name = str(uuid4())
    await shared.here.save_session(name, ENTRY, TTL)
    (key,) = server.admin.keys(f"*{name}")
    if kind == "hash":
        server.admin.hset(key, mapping={"epoch": "x", "digest": SECRETS[0], "user": "ann"})
    elif kind == "record":
        server.admin.hset(key, "record", '{"subscriptions":[')
    else:
        server.admin.delete(key)
        server.admin.set(key, "?") if kind == "string" else server.admin.lpush(key, "?")
    claim = await shared.there.claim_session(name, SECRETS[0], "ann", "b/1", SECRETS[1], TTL)
    assert claim is None
    assert await shared.there.renew_sessions([("none", 1)], TTL) == ([], ["none"])
    await shared.there.close_session(name, 1)
    assert await shared.here.save_session(name, evolve(ENTRY, epoch=5), TTL)


async def test_without_redis_the_store_says_so() -> None:
    with running_redis() as server:
        async with open_redis(RedisSection(url=server.url), rng=random.Random(1)) as redis:
            sessions = RedisSessions(redis, "t", 16)
            assert await sessions.save_session("s", ENTRY, TTL)
            server.kill()
            with pytest.raises(StoreUnavailable):
                await sessions.save_session("s", ENTRY, TTL)
            with pytest.raises(StoreUnavailable):
                await sessions.renew_sessions([("s", 1)], TTL)
            server.start()
            with trio.fail_after(5):
                while True:
                    try:
                        assert await sessions.save_session("s", ENTRY, TTL)
                        break
                    except StoreUnavailable:
                        await trio.sleep(0.05)
