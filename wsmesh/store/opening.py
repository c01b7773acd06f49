"""Opening the store that `[redis]` names: memory without a url, else what the nodes share."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import structlog
import trio
from attrs import evolve, frozen

from wsmesh.config.redis import RedisSection
from wsmesh.config.redis_url import EMBEDDED
from wsmesh.errors import ConfigError, StoreUnavailable
from wsmesh.store.interface import Store
from wsmesh.store.memory import MemoryStore
from wsmesh.store.memory_sessions import MemorySessions
from wsmesh.store.redis.client import Redis, open_redis
from wsmesh.store.redis.embedded import default_directory, open_embedded
from wsmesh.store.redis.inspection import inspect
from wsmesh.store.redis.sessions import RedisSessions
from wsmesh.store.redis.store import RedisStore
from wsmesh.store.redis.users import RedisUsers
from wsmesh.store.sessions import SessionStore
from wsmesh.store.users import UserStore

REACHED_WITHIN = 10.0
"""Seconds a node waits for Redis when it starts."""

log = structlog.get_logger("wsmesh.store")


class _Runs(Protocol):
    async def run(self) -> None:
        """Serve until cancelled."""


@frozen(kw_only=True)
class Storage:
    """What a node keeps things in.

    :param redis: None when the node stands alone.
    :param shared: the same as `store` when it is in Redis.
    :param users: what nodes share of users; None when the node stands alone.
    """

    store: Store
    sessions: SessionStore
    parts: tuple[_Runs, ...]
    redis: Redis | None = None
    shared: RedisStore | None = None
    users: UserStore | None = None

    async def run(self) -> None:
        """Serve until cancelled; start it once somebody listens to the store."""
        async with trio.open_nursery() as nursery:
            for part in self.parts:
                nursery.start_soon(part.run)


@asynccontextmanager
async def open_storage(
    section: RedisSection, *, name: str, owner: Callable[[], str], rng: random.Random
) -> AsyncGenerator[Storage]:
    """Open the store.

    :param name: of the node, for people who look at Redis.
    :param owner: returns `node/incarnation` of the node as it is now.
    :raises ConfigError: it cannot be opened, or not be reached in time.
    """
    if not section.url:
        memory, kept = MemoryStore(), MemorySessions()
        yield Storage(store=memory, sessions=kept, parts=(memory, kept))
        return
    async with AsyncExitStack() as stack:
        if section.url == EMBEDDED:
            given = section.embedded_dir
            directory = Path(given) if given else default_directory(os.environ)
            url = await stack.enter_async_context(open_embedded(directory))
            section = evolve(section, url=url)
        redis = await stack.enter_async_context(open_redis(section, rng=rng, name=name))
        await _reach(redis)
        store = RedisStore(redis, section, owner=owner)
        yield Storage(
            store=store, parts=(store,), redis=redis, shared=store,
            sessions=RedisSessions(redis, section.prefix, section.partitions),
            users=RedisUsers(redis, section.prefix, section.partitions),
        )


async def _reach(redis: Redis) -> None:
    why = "it did not answer"
    with trio.move_on_after(REACHED_WITHIN):
        while True:
            try:
                await redis.check()
                return await inspect(redis)
            except StoreUnavailable as error:
                why = str(error)
                log.warning("store.waiting", error=why)
                await trio.sleep(1.0)
    fault = f"redis.url: Redis was not reached within {REACHED_WITHIN:g} s: {why}"
    raise ConfigError("configuration", [fault])
