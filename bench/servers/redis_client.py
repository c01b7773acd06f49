"""A Redis client at work, for bench.redis_link: `operations` or `messages`, through a library.

Prints its own CPU time per piece of work as a JSON line; a subscriber prints a line first, when it
is subscribed.
"""

from __future__ import annotations

import json
import random
import sys
import time
from functools import partial

import click
import redis
import structlog
import trio

from wsmesh.config.redis import RedisSection
from wsmesh.config.values import Seconds
from wsmesh.store.redis.client import open_redis

VALUE = b"x" * 64


class Watch:
    """Wall and CPU time from here."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def tell(self, work: int) -> None:
        """Print what `work` pieces took."""
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        print(json.dumps({"micros": cpu / work * 1e6, "per_second": work / wall}), flush=True)


async def link_operations(port: int, work: int, tasks: int) -> None:
    async with open_redis(section(port), rng=random.Random(1)) as client:

        async def one(number: int) -> None:
            key = f"key{number}"
            for _ in range(work // tasks // 2):
                await client.execute("SET", key, VALUE)
                await client.execute("GET", key)

        watch = Watch()
        async with trio.open_nursery() as nursery:
            for number in range(tasks):
                nursery.start_soon(one, number)
        watch.tell(work)


async def link_messages(port: int, work: int, tasks: int) -> None:
    async with open_redis(section(port), rng=random.Random(1)) as client:
        heard, over = [0], trio.Event()

        def listen(messages: list[tuple[bytes, bytes]]) -> None:
            heard[0] += len(messages)
            if heard[0] >= work:
                over.set()

        client.subscriber.listen(listen, lambda channels: None)
        await client.subscriber.subscribe(b"channel")
        print("subscribed", flush=True)
        watch = Watch()
        await over.wait()
        watch.tell(work)


def section(port: int) -> RedisSection:
    return RedisSection(url=f"redis://127.0.0.1:{port}", timeout=Seconds(5.0))


async def coredis_operations(port: int, work: int, tasks: int) -> None:
    import coredis

    async with coredis.Redis(port=port) as client:

        async def one(number: int) -> None:
            key = f"key{number}"
            for _ in range(work // tasks // 2):
                await client.set(key, VALUE)
                await client.get(key)

        watch = Watch()
        async with trio.open_nursery() as nursery:
            for number in range(tasks):
                nursery.start_soon(one, number)
        watch.tell(work)


async def coredis_messages(port: int, work: int, tasks: int) -> None:
    import coredis

    async with coredis.Redis(port=port) as client:
        async with client.pubsub(channels=["channel"]) as pubsub:
            print("subscribed", flush=True)
            watch, heard = Watch(), 0
            async for message in pubsub:
                heard += message["type"] == "message"
                if heard == work:
                    break
            watch.tell(work)


async def threaded_operations(port: int, work: int, tasks: int) -> None:
    pool = redis.ConnectionPool(port=port, max_connections=tasks)
    client, limiter = redis.Redis(connection_pool=pool), trio.CapacityLimiter(tasks)

    async def one(number: int) -> None:
        key = f"key{number}"
        for _ in range(work // tasks // 2):
            await trio.to_thread.run_sync(partial(client.set, key, VALUE), limiter=limiter)
            await trio.to_thread.run_sync(partial(client.get, key), limiter=limiter)

    watch = Watch()
    async with trio.open_nursery() as nursery:
        for number in range(tasks):
            nursery.start_soon(one, number)
    watch.tell(work)
    pool.disconnect()


async def threaded_messages(port: int, work: int, tasks: int) -> None:
    heard, over = [0], trio.Event()

    def take(message: object) -> None:
        heard[0] += 1
        if heard[0] == work:
            over.set()

    def listen() -> None:
        with redis.Redis(port=port) as client, client.pubsub() as pubsub:
            pubsub.ssubscribe("channel")
            got = 0
            while got < work:
                message = pubsub.get_sharded_message(timeout=1.0)
                if message is None:
                    continue
                if message["type"] == "smessage":
                    got += 1
                    trio.from_thread.run_sync(take, message)
                else:
                    print("subscribed", flush=True)

    watch = Watch()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, listen)
        await over.wait()
        watch.tell(work)


WORKERS = {
    ("operations", "link"): link_operations, ("messages", "link"): link_messages,
    ("operations", "coredis"): coredis_operations, ("messages", "coredis"): coredis_messages,
    ("operations", "redis-py in threads"): threaded_operations,
    ("messages", "redis-py in threads"): threaded_messages,
}


@click.command()
@click.argument("kind", type=click.Choice(["operations", "messages"]))
@click.argument("library")
@click.option("--port", type=int, required=True)
@click.option("--work", type=int, required=True)
@click.option("--tasks", type=int, default=64)
def main(kind: str, library: str, port: int, work: int, tasks: int) -> None:
    """Do the work and print what it cost."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    trio.run(WORKERS[kind, library], port, work, tasks)


if __name__ == "__main__":
    main()
