"""A client that hears many shard channels through a restart of Redis, for bench.resubscribe.

Prints a line when it hears them all, and a JSON line when it hears them again: when its connection
was there and when the last channel was confirmed, on the monotonic clock that all processes share.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import MutableMapping, Sequence
from contextlib import closing
from typing import Any

import click
import redis
import structlog
import trio
from redis.client import PubSub

from wsmesh.config.redis import RedisSection
from wsmesh.config.values import Seconds
from wsmesh.store.redis.client import open_redis
from wsmesh.store.redis.keys import Keyspace

AT_ONCE = 5_000
"""Channels of one call when they are subscribed for the first time."""


def channels(number: int) -> list[bytes]:
    """Return names as a node has them: in 128 partitions."""
    keyspace = Keyspace("bench", 128)
    return [keyspace.of(f"news:{each}").shard for each in range(number)]


def say(what: object) -> None:
    """Tell the parent."""
    print(json.dumps(what), flush=True)


class Log:
    """The link's log, which says when its pub/sub connection was made."""

    connected = 0.0

    def take(self, _: object, __: str, event: MutableMapping[str, Any]) -> str:
        """Note the time; the line is dropped."""
        if event["event"] == "redis.connected" and str(event["link"]).endswith("pub/sub"):
            self.connected = time.monotonic()
        raise structlog.DropEvent


async def link(port: int, wanted: Sequence[bytes], log: Log) -> None:
    """Hear them through the link."""
    section = RedisSection(url=f"redis://127.0.0.1:{port}", timeout=Seconds(5.0))
    async with open_redis(section, rng=random.Random(1)) as client:
        for start in range(0, len(wanted), AT_ONCE):
            await client.subscriber.subscribe(*wanted[start : start + AT_ONCE])
        restored = trio.Event()

        def heard_again(_: list[bytes]) -> None:
            if client.subscriber.is_whole:
                restored.set()

        client.subscriber.listen(lambda messages: None, heard_again)
        say("subscribed")
        await restored.wait()
        say({"connected": log.connected, "heard": time.monotonic()})
        await trio.to_thread.run_sync(sys.stdin.readline)


class Listener(PubSub):
    """redis-py's, which notes when it was connected."""

    connected = 0.0
    confirmed = 0

    def on_connect(self, connection: object) -> None:
        """Subscribe again, as redis-py does."""
        self.connected, self.confirmed = time.monotonic(), 0
        super().on_connect(connection)

    def confirm(self, number: int) -> None:
        """Return when so many channels were confirmed since the connection was made."""
        while self.confirmed < number:
            try:
                message = self.get_sharded_message(timeout=1.0)
            except redis.RedisError:
                time.sleep(0.01)
                continue
            self.confirmed += message is not None and message["type"] == "ssubscribe"


def threaded(port: int, wanted: Sequence[bytes]) -> None:
    """Hear them through redis-py, in a loop of its own."""
    pool = redis.ConnectionPool(port=port)
    with closing(Listener(pool)) as listener:
        for start in range(0, len(wanted), AT_ONCE):
            listener.ssubscribe(*wanted[start : start + AT_ONCE])
        listener.confirm(len(wanted))
        first = listener.connected
        say("subscribed")
        while listener.connected == first:
            try:
                listener.get_sharded_message(timeout=1.0)
            except redis.RedisError:
                time.sleep(0.01)
        # What the call above may have read was one confirmation.
        listener.confirm(len(wanted) - 1)
        say({"connected": listener.connected, "heard": time.monotonic()})
        sys.stdin.readline()


@click.command()
@click.argument("library", type=click.Choice(["link", "redis-py"]))
@click.option("--port", type=int, required=True)
@click.option("--channels", "number", type=int, required=True)
def main(library: str, port: int, number: int) -> None:
    """Hear the channels, and say when they are heard again."""
    if library == "link":
        log = Log()
        structlog.configure(processors=[log.take])
        trio.run(link, port, channels(number), log)
    else:
        threaded(port, channels(number))


if __name__ == "__main__":
    main()
