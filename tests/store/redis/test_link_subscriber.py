"""Shard channels through a real server: confirmed, batched, and heard again after a loss."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from redis.exceptions import NoPermissionError

from tests.servers.proxy import Direction, open_proxy
from wsmesh.config.redis import RedisSection
from wsmesh.config.values import Seconds, Secret
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.client import Redis, open_redis


class Heard:
    """What a subscriber tells."""

    def __init__(self, redis: Redis) -> None:
        self.batches: list[list[tuple[bytes, bytes]]] = []
        self.restored: list[bytes] = []
        redis.subscriber.listen(self.batches.append, self.restored.extend)

    @property
    def messages(self) -> list[tuple[bytes, bytes]]:
        return [message for batch in self.batches for message in batch]


def opened(server: Any, **options: Any) -> Any:
    return open_redis(RedisSection(**{"url": server.url} | options), rng=random.Random(1))


async def eventually(condition: Any, within: float = 5.0) -> None:
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.005)


def names(number: int) -> list[bytes]:
    return [b"wsmesh:{%d}:channel" % each for each in range(number)]


async def test_messages_arrive_in_order_many_at_a_time_and_only_for_what_is_held(redis_server):
    async with opened(redis_server) as redis:
        heard = Heard(redis)
        await redis.subscriber.subscribe(b"a", b"b")
        assert set(redis.subscriber.held) == {b"a", b"b"}
        assert redis.subscriber.is_whole
        with redis_server.client() as client, client.pipeline(transaction=False) as pipeline:
            for number in range(1000):
                pipeline.execute_command("SPUBLISH", "ab"[number % 2], number)
                pipeline.execute_command("SPUBLISH", "c", number)
            pipeline.execute()
        await eventually(lambda: len(heard.messages) == 1000)

        assert heard.messages == [(b"ab"[n % 2 : n % 2 + 1], b"%d" % n) for n in range(1000)]
        assert len(heard.batches) < 200
        assert heard.restored == []


async def test_what_was_unsubscribed_is_not_heard(redis_server):
    async with opened(redis_server) as redis:
        heard = Heard(redis)
        await redis.subscriber.subscribe(b"a", b"b")
        redis.subscriber.unsubscribe(b"a", b"never held")
        redis_server.admin.execute_command("SPUBLISH", "a", "unheard")
        redis_server.admin.execute_command("SPUBLISH", "b", "heard")
        await eventually(lambda: heard.messages)

        assert heard.messages == [(b"b", b"heard")]
        await eventually(lambda: redis_server.admin.pubsub_shardchannels() == ["b"])


async def test_unsubscribing_and_subscribing_at_once_ends_subscribed(redis_server):
    async with opened(redis_server) as redis:
        heard = Heard(redis)
        await redis.subscriber.subscribe(b"a")
        redis.subscriber.unsubscribe(b"a")
        await redis.subscriber.subscribe(b"a")
        redis_server.admin.execute_command("SPUBLISH", "a", "heard")
        await eventually(lambda: heard.messages)
        assert heard.restored == []


async def test_concurrent_calls_share_their_commands(redis_server):
    async with opened(redis_server) as redis:
        async with trio.open_nursery() as nursery:
            for channel in names(500):
                for _ in range(3):
                    nursery.start_soon(redis.subscriber.subscribe, channel)
        assert redis.statistics.totals.subscribe_commands <= 3
        assert set(redis.subscriber.held) == set(names(500))
        assert redis_server.admin.info("commandstats")["cmdstat_ssubscribe"]["calls"] <= 3
        await redis.subscriber.subscribe(*names(500))
        assert redis.statistics.totals.subscribe_commands <= 3


async def test_a_lost_connection_is_noticed_and_every_channel_restored(redis_server):
    async with opened(redis_server) as redis:
        heard = Heard(redis)
        await redis.subscriber.subscribe(*names(100))
        with redis_server.client() as client:
            client.client_kill_filter(_type="pubsub")
        await eventually(lambda: not redis.subscriber.is_whole)
        await eventually(lambda: redis.subscriber.is_whole)

        assert sorted(heard.restored) == sorted(names(100))
        redis_server.admin.execute_command("SPUBLISH", names(1)[0], "again")
        await eventually(lambda: heard.messages)


async def test_a_hundred_thousand_channels_are_restored_with_few_commands(redis_server):
    async with opened(redis_server, timeout=Seconds(20.0)) as redis:
        heard = Heard(redis)
        await redis.subscriber.subscribe(*names(100_000))
        before = redis.statistics.totals.subscribe_commands
        redis_server.kill()
        redis_server.start()
        await eventually(lambda: len(heard.restored) == 100_000, within=30)

        assert redis.statistics.totals.subscribe_commands - before <= 101
        assert redis.subscriber.is_whole


async def test_a_call_that_is_not_confirmed_in_time_holds_nothing(redis_server):
    async with opened(redis_server, timeout=Seconds(0.2)) as redis:
        await redis.subscriber.subscribe(b"before")
        redis_server.stop()
        with pytest.raises(StoreUnavailable, match="in time"):
            await redis.subscriber.subscribe(b"late", b"before")
        assert set(redis.subscriber.held) == {b"before"}
        redis_server.cont()
        await eventually(lambda: redis_server.admin.pubsub_shardchannels() == ["before"])


async def test_a_cancelled_call_holds_nothing(redis_server):
    async with opened(redis_server) as redis:
        await redis.subscriber.subscribe(b"warm")
        redis_server.stop()
        with trio.move_on_after(0.05):
            await redis.subscriber.subscribe(b"late")
        redis_server.cont()
        assert set(redis.subscriber.held) == {b"warm"}
        await eventually(lambda: redis_server.admin.pubsub_shardchannels() == ["warm"])


async def test_a_call_waits_for_a_server_that_is_just_coming_back(redis_server):
    redis_server.kill()
    async with opened(redis_server, timeout=Seconds(5.0)) as redis:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(redis.subscriber.subscribe, b"a")
            await trio.sleep(0.1)
            redis_server.start()
        assert set(redis.subscriber.held) == {b"a"}


async def test_a_channel_that_the_acl_forbids_is_refused_as_such(start_redis):
    server = start_redis(users={"node": "on >secret ~* &mine:* +@all"})
    login = {"username": "node", "password": Secret("secret")}
    async with opened(server, **login) as redis:
        await redis.subscriber.subscribe(b"mine:a")
        with pytest.raises(NoPermissionError):
            await redis.subscriber.subscribe(b"yours")
        assert set(redis.subscriber.held) == {b"mine:a"}


async def test_a_held_channel_that_is_forbidden_later_is_asked_for_until_it_is_allowed(
    start_redis
):
    server = start_redis(users={"node": "on >secret ~* &* +@all"})
    login = {"username": "node", "password": Secret("secret")}
    async with opened(server, **login) as redis:
        heard = Heard(redis)
        await redis.subscriber.subscribe(b"a")
        server.admin.execute_command("ACL", "SETUSER", "node", "resetchannels")
        await eventually(lambda: not redis.subscriber.is_whole)
        await trio.sleep(0.2)
        assert not redis.subscriber.is_whole
        server.admin.execute_command("ACL", "SETUSER", "node", "allchannels")
        await eventually(lambda: redis.subscriber.is_whole)
        assert heard.restored == [b"a"]


async def test_a_connection_that_went_deaf_is_noticed_and_replaced(redis_server):
    async with open_proxy(redis_server.address) as proxy:
        host, port = proxy.address
        options = {"url": f"redis://{host}:{port}", "timeout": Seconds(0.2)}
        async with opened(redis_server, **options) as redis:
            heard = Heard(redis)
            await redis.subscriber.subscribe(b"a")
            proxy.blackhole(Direction.DOWN)
            await eventually(lambda: not redis.subscriber.is_whole, within=2.0)
            await proxy.heal()
            await eventually(lambda: redis.subscriber.is_whole)
            assert heard.restored == [b"a"]


async def test_a_connection_that_others_found_deaf_can_be_made_anew(redis_server):
    async with opened(redis_server) as redis:
        heard = Heard(redis)
        await redis.subscriber.subscribe(b"a")
        redis.subscriber.reopen(b"a", "its canary is not heard")
        await eventually(lambda: heard.restored == [b"a"])


async def test_a_subscriber_that_is_too_slow_is_dropped_by_redis_and_comes_back(start_redis):
    server = start_redis({"client-output-buffer-limit": "pubsub 64kb 32kb 1", "save": '""'})
    async with opened(server) as redis:
        heard = Heard(redis)
        await redis.subscriber.subscribe(b"a")
        with server.client() as client, client.pipeline(transaction=False) as pipeline:
            for _ in range(200):
                pipeline.execute_command("SPUBLISH", "a", b"x" * 200_000)
            # Our tasks get no turn meanwhile: the server's buffer for us overflows.
            pipeline.execute()
        await eventually(lambda: heard.restored == [b"a"])
        assert len(heard.messages) < 200


async def test_a_listener_that_raises_does_not_make_the_node_deaf(redis_server):
    async with opened(redis_server) as redis:
        seen: list[object] = []

        def listen(messages: list[tuple[bytes, bytes]]) -> None:
            seen.extend(messages)
            raise LookupError("a fault of the listener")

        redis.subscriber.listen(listen, lambda channels: None)
        await redis.subscriber.subscribe(b"a")
        for number in (1, 2):
            redis_server.admin.execute_command("SPUBLISH", "a", number)
            await eventually(lambda number=number: len(seen) == number)


async def test_the_end_of_the_client_ends_calls(redis_server):
    redis_server.kill()
    outcomes: list[Exception] = []

    async def subscribe(redis: Redis) -> None:
        with pytest.raises(StoreUnavailable) as failure:
            await redis.subscriber.subscribe(b"a")
        outcomes.append(failure.value)

    async with trio.open_nursery() as nursery:
        async with opened(redis_server, timeout=Seconds(30.0)) as redis:
            nursery.start_soon(subscribe, redis)
            await trio.sleep(0.05)
    assert len(outcomes) == 1
