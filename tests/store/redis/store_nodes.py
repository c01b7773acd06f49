"""Nodes with a Redis store each, on one real Redis, whose time a test lets pass at will."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeVar
from uuid import uuid4

import redis
import trio

from tests.contracts.store_cluster import CHANNEL, PASSING, Cluster, Node, message
from wsmesh.config.redis import RedisSection
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.client import open_redis
from wsmesh.store.redis.store import RedisStore

OTHER = "news:other"
T = TypeVar("T")


def section_of(url: str, **options: object) -> RedisSection:
    """Return `[redis]` with keys of its own."""
    return RedisSection(url=url, prefix=f"t{uuid4().hex[:8]}", **options)  # type: ignore[arg-type]


@asynccontextmanager
async def running_store(
    section: RedisSection, owner: str = "node/1", *, check_period: float = 60.0
) -> AsyncGenerator[RedisStore]:
    """A store that runs and hears itself."""
    rng = random.SystemRandom()
    async with open_redis(section, rng=rng, name=owner) as link:
        store = RedisStore(link, section, lambda: owner, rng, check_period=check_period)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.run)
            await store.pass_through(CHANNEL)
            yield store
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def running_nodes(
    section: RedisSection, count: int, admins: Iterable[redis.Redis]
) -> AsyncGenerator[Cluster]:
    """Nodes that share what they store."""
    async with AsyncExitStack() as stack:
        nodes = tuple([
            Node(await stack.enter_async_context(running_store(section, f"node{number}/1")))
            for number in range(count)
        ])
        yield Cluster(
            nodes, partial(_lapse, section.prefix, tuple(admins)), partial(delivered, nodes)
        )


@asynccontextmanager
async def running_node(
    section: RedisSection, owner: str = "node/1", *, check_period: float = 60.0
) -> AsyncGenerator[Node]:
    """A node with a store of its own."""
    async with running_store(section, owner, check_period=check_period) as store:
        yield Node(store)


def redis_of(node: Node) -> RedisStore:
    """Return a node's store as what it is."""
    assert isinstance(node.store, RedisStore)
    return node.store


async def back(node: Node) -> None:
    """Return once the store is ready and takes publications."""
    with trio.fail_after(10.0):
        while True:
            try:
                await node.store.check()
                await node.store.publish(OTHER, message(), PASSING)
                return
            except StoreUnavailable:
                await trio.sleep(0.02)


async def again(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call returns once the store has told its subscribers what was lost."""
    for _ in range(3):
        try:
            return await call()
        except StoreUnavailable:
            await trio.sleep(0.05)
    return await call()


async def until(condition: Callable[[], object], within: float = 5.0) -> None:
    """Return once a condition holds; real servers are involved, so this takes real time."""
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.005)


async def delivered(nodes: Iterable[Node]) -> None:
    """Return once every node has heard what was published in the channels of the contract."""
    for node in nodes:
        for channel in (CHANNEL, OTHER):
            await redis_of(node).pass_through(channel)


async def _lapse(prefix: str, admins: Iterable[redis.Redis], seconds: float) -> None:
    """Bring forward by so much whatever Redis would forget or call expired."""
    await trio.lowlevel.checkpoint()
    for admin in admins:
        for key in admin.scan_iter(match=f"{prefix}:*", count=1000):
            left = admin.pttl(key)
            if ":until:" in key:
                admin.eval(_SHIFT, 1, key, round(seconds * 1000))
            if left >= 0:
                admin.pexpire(key, left - round(seconds * 1000))


_SHIFT = """
for _, member in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
  redis.call("ZINCRBY", KEYS[1], -ARGV[1], member)
end
"""
