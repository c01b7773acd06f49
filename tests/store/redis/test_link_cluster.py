"""The link to a real Redis Cluster: slots that move and masters that die while calls run."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from redis.exceptions import ResponseError

from tests.servers.cluster import slot_of
from wsmesh.config.redis import RedisSection
from wsmesh.config.values import Seconds
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis import cluster
from wsmesh.store.redis.client import Redis, Role, open_redis
from wsmesh.store.redis.scripts import Script

ADD = Script("add", "return redis.call('RPUSH', KEYS[1], ARGV[1])")
KEYS = [b"wsmesh:{%d}:list" % number for number in range(64)]
MOVING = b"wsmesh:{7}:list"


def opened(servers: Any, **options: Any) -> Any:
    return open_redis(RedisSection(**{"url": servers.url} | options), rng=random.Random(1))


async def eventually(condition: Any, within: float = 15.0) -> None:
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.005)


class Writer:
    """Appends numbers to a list, several under way at a time, as a publisher does."""

    def __init__(self, redis: Redis, key: bytes) -> None:
        self.key = key
        self.failures: list[Exception] = []
        self.answered = self.sent = 0
        self.enough = False
        self._redis = redis

    async def run(self) -> None:
        while not self.enough:
            for _ in range(3):
                self._redis.call_nowait(ADD, [self.key], [self.sent], self._settle)
                self.sent += 1
            await trio.sleep(0.001)
        await eventually(lambda: self.answered == self.sent)

    def _settle(self, outcome: object) -> None:
        self.answered += 1
        if isinstance(outcome, Exception):
            self.failures.append(outcome)

    def stored(self, servers: Any) -> list[int]:
        return [int(each) for each in servers.master_of(self.key).admin.lrange(self.key, 0, -1)]


async def test_every_key_goes_to_its_master_and_no_key_to_any(redis_cluster):
    async with opened(redis_cluster) as redis:
        assert set(redis.shards) == {f"127.0.0.1:{s.port}" for s in redis_cluster.masters}
        await redis.check()
        for key in KEYS:
            assert await redis.call(ADD, [key], [1]) == 1
            assert redis.shard_of(key) == f"127.0.0.1:{redis_cluster.master_of(key).port}"
            assert redis_cluster.master_of(key).admin.llen(key) == 1
        assert redis.statistics.totals.redirections == 0
        assert await redis.execute("PING") == b"PONG"
        with pytest.raises(ResponseError, match="CROSSSLOT"):
            await redis.execute("DEL", "a", "b", key=b"a")


async def test_one_address_is_enough_to_find_all(redis_cluster):
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{redis_cluster.servers[-1].port}"
    async with opened(redis_cluster, url=url) as redis:
        assert len(redis.shards) == 3
        await redis.check()


async def test_a_slot_that_moves_while_calls_run_costs_no_call_and_no_order(redis_cluster):
    async with opened(redis_cluster, timeout=Seconds(5.0)) as redis:
        writers = [Writer(redis, key) for key in (MOVING, b"wsmesh:{7}:other", *KEYS[:3])]
        target = next(s for s in redis_cluster.masters if s is not redis_cluster.master_of(MOVING))
        async with trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(writer.run)
            await trio.sleep(0.2)
            await redis_cluster.move_slot(slot_of(MOVING), target)
            await trio.sleep(0.2)
            for writer in writers:
                writer.enough = True

        assert redis.statistics.totals.redirections > 0
        for writer in writers:
            assert writer.failures == []
            assert writer.stored(redis_cluster) == [*range(writer.sent)]
        assert redis.shard_of(MOVING) == f"127.0.0.1:{target.port}"


async def test_keys_on_either_side_of_a_moving_slot_are_found(redis_cluster):
    async with opened(redis_cluster) as redis:
        keys = [b"wsmesh:{7}:%d" % number for number in range(20)]
        for key in keys:
            await redis.execute("SET", key, key, key=key)
        target = next(s for s in redis_cluster.masters if s is not redis_cluster.master_of(MOVING))
        move = redis_cluster.slot_move(slot_of(MOVING), target)
        move.begin()
        move.move_keys(10)
        assert [await redis.execute("GET", key, key=key) for key in keys] == keys
        assert redis.statistics.totals.redirections == 10
        assert await redis.execute("SET", MOVING, "new", key=MOVING) == b"OK"
        # Two keys, one on each side: the cluster cannot serve that now, and says TRYAGAIN.
        left = [key for key in keys if key.decode() in move.source.admin.keys("wsmesh*")]
        split = ("MGET", left[0], next(key for key in keys if key not in left))
        with pytest.raises(StoreUnavailable, match=r"TRYAGAIN|redirected") as failure:
            await redis.execute(*split, key=MOVING)
        assert not failure.value.is_unknown

        async with trio.open_nursery() as nursery:
            replies: list[Any] = []

            async def read_both() -> None:
                replies.append(await redis.execute(*split, key=MOVING))

            nursery.start_soon(read_both)
            await trio.sleep(0.05)
            await trio.to_thread.run_sync(move.move_keys)
            move.finish()
        assert replies == [[*split[1:]]]
        assert [await redis.execute("GET", key, key=key) for key in keys] == keys


async def test_channels_of_a_moved_slot_are_heard_again_at_its_new_master(redis_cluster):
    async with opened(redis_cluster) as redis:
        restored: list[bytes] = []
        messages: list[tuple[bytes, bytes]] = []
        redis.subscriber.listen(messages.extend, restored.extend)
        await redis.subscriber.subscribe(*KEYS)
        target = next(s for s in redis_cluster.masters if s is not redis_cluster.master_of(MOVING))
        await redis_cluster.move_slot(slot_of(MOVING), target)
        await eventually(lambda: restored)
        assert restored == [MOVING]
        assert redis.subscriber.is_whole
        for key in KEYS:
            redis_cluster.master_of(key).admin.execute_command("SPUBLISH", key, "heard")
        await eventually(lambda: len(messages) == len(KEYS))
        assert {channel for channel, _ in messages} == set(KEYS)


async def test_an_orderly_promotion_costs_no_order(redis_cluster):
    async with opened(redis_cluster, timeout=Seconds(5.0)) as redis:
        writer = Writer(redis, MOVING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            await trio.sleep(0.1)
            new = await redis_cluster.promote(redis_cluster.master_of(MOVING))
            await trio.sleep(0.3)
            writer.enough = True

        stored = writer.stored(redis_cluster)
        assert stored == sorted(set(stored))
        assert len(writer.failures) + len(stored) >= writer.sent
        assert redis.shard_of(MOVING) == f"127.0.0.1:{new.port}"


async def test_a_server_that_is_no_master_any_more_is_left(redis_cluster, monkeypatch):
    monkeypatch.setattr(cluster, "KEPT", 0.0)
    monkeypatch.setattr(cluster, "LOOK_EVERY", 0.1)
    async with opened(redis_cluster) as redis:
        old = redis_cluster.master_of(MOVING)
        await redis.call(ADD, [MOVING], [1])
        await redis_cluster.promote(old)

        def ours() -> list[str]:
            return [each["name"] for each in old.admin.client_list() if each["name"] == "wsmesh"]

        await eventually(lambda: not ours())
        assert len(redis.shards) == 3
        await redis.check()


@pytest.mark.parametrize("fault", ["kill_master", "stop_master"])
@pytest.mark.slow
async def test_a_lost_master_is_replaced_and_its_channels_restored(redis_cluster, fault):
    async with opened(redis_cluster) as redis:
        restored: list[bytes] = []
        redis.subscriber.listen(lambda messages: None, restored.extend)
        await redis.subscriber.subscribe(*KEYS)
        mine = [key for key in KEYS if redis.shard_of(key) == redis.shard_of(MOVING)]
        writer = Writer(redis, MOVING)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            await trio.sleep(0.2)
            lost = getattr(redis_cluster, fault)(redis_cluster.master_of(MOVING))
            began = trio.current_time()
            await eventually(lambda: not redis.subscriber.is_whole)
            await redis_cluster.wait_failover(lost)
            await eventually(lambda: redis.subscriber.is_whole)
            took = trio.current_time() - began
            await trio.sleep(0.5)
            writer.enough = True

        assert took < 8
        assert set(restored) >= set(mine)
        assert all(isinstance(failure, StoreUnavailable) for failure in writer.failures)
        await redis.call(ADD, [MOVING], ["end"], role=Role.PUBLISH)
        stored = [*map(int, redis_cluster.master_of(MOVING).admin.lrange(MOVING, 0, -2))]
        assert stored == sorted(set(stored))
        unknown = sum(failure.is_unknown for failure in writer.failures)
        assert len(stored) <= writer.sent - len(writer.failures) + unknown


async def test_a_cluster_that_is_away_is_unavailable(redis_cluster):
    async with opened(redis_cluster, url="redis+cluster://127.0.0.1:1") as redis:
        assert redis.shards == ()
        for attempt in (
            redis.check, lambda: redis.execute("GET", "k", key=b"k"),
            lambda: redis.call(ADD, [b"k"], [1]),
        ):
            with pytest.raises(StoreUnavailable) as failure:
                await attempt()
            assert not failure.value.is_unknown
        with pytest.raises(StoreUnavailable):
            redis.shard_of(b"k")


async def test_a_single_server_is_no_cluster(redis_server, redis_cluster):
    url = f"redis+cluster://127.0.0.1:{redis_server.port}"
    async with opened(redis_cluster, url=url) as redis:
        with pytest.raises(StoreUnavailable):
            await redis.check()
    one = redis_cluster.masters[0]
    away = next(key for key in KEYS if redis_cluster.master_of(key) is not one)
    async with opened(redis_cluster, url=one.url) as redis:
        with pytest.raises(StoreUnavailable, match=r"\d+ 127\.0\.0\.1:\d+"):
            await redis.execute("GET", away, key=away)



