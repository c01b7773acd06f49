"""The link under real sentinels: the master that they name, also when it changes."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

from wsmesh.config.redis import RedisSection
from wsmesh.config.values import Secret
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.client import Redis, open_redis


def opened(system: Any, **options: Any) -> Any:
    return open_redis(RedisSection(**{"url": system.url} | options), rng=random.Random(1))


async def eventually(condition: Any, within: float = 15.0) -> None:
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.01)


async def until_written(redis: Redis, key: str, value: object) -> None:
    with trio.fail_after(15):
        while True:
            try:
                await redis.execute("SET", key, str(value))
            except StoreUnavailable:
                await trio.sleep(0.02)
            else:
                return


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill_master", "stop_master"])
async def test_a_lost_master_is_replaced_by_the_one_the_sentinels_name(redis_sentinel, fault):
    async with opened(redis_sentinel) as redis:
        restored: list[bytes] = []
        redis.subscriber.listen(lambda messages: None, restored.extend)
        await redis.subscriber.subscribe(b"a", b"b")
        await redis.execute("SET", "k", "old")
        old = redis_sentinel.master
        assert redis.shards == (f"127.0.0.1:{old.port}",)
        getattr(redis_sentinel, fault)()
        began = trio.current_time()
        await eventually(lambda: restored)
        new = await redis_sentinel.wait_promotion()
        await until_written(redis, "k", "new")
        await eventually(lambda: redis.subscriber.is_whole)
        assert trio.current_time() - began < 8

        assert new.admin.get("k") == "new"
        assert redis.shards == (f"127.0.0.1:{new.port}",)
        assert set(restored) == {b"a", b"b"}
        await redis_sentinel.heal()
        # The old master came back as a replica, and nobody went back to it.
        await redis.execute("SET", "k", "newer")
        assert new.admin.get("k") == "newer"


@pytest.mark.slow
async def test_an_orderly_fail_over_is_followed_at_once(redis_sentinel):
    async with opened(redis_sentinel) as redis:
        await redis.execute("SET", "k", "old")
        new = await redis_sentinel.failover()
        await until_written(redis, "k", "new")

        assert new.admin.get("k") == "new"


async def test_one_sentinel_is_enough_to_begin_and_an_unknown_service_is_told(redis_sentinel):
    for sentinel in redis_sentinel.sentinels[:2]:
        sentinel.kill()
    async with opened(redis_sentinel) as redis:
        await redis.check()
        # The one that is left is listened to, and lost, and found again.
        redis_sentinel.sentinels[2].kill()
        await redis.execute("SET", "k", "served without any sentinel")
    redis_sentinel.sentinels[0].start()
    wrong = redis_sentinel.url.replace("/mymaster", "/other")
    async with opened(redis_sentinel, url=wrong) as redis:
        with pytest.raises(StoreUnavailable, match="no sentinel names a master 'other'"):
            await redis.check()
        assert redis.shards == ("other",)


async def test_a_sentinel_that_names_a_replica_is_not_believed(redis_sentinel, start_redis):
    liar = start_redis()
    liar.admin.replicaof(*map(str, redis_sentinel.master.address))
    # A plain server answers ROLE, but knows no SENTINEL command.
    url = f"redis+sentinel://127.0.0.1:{liar.port}/mymaster"
    async with opened(redis_sentinel, url=url) as redis:
        with pytest.raises(StoreUnavailable):
            await redis.check()


async def test_sentinels_may_want_a_login_of_their_own(request):
    from tests.servers.sentinel import running_sentinel

    users = {"node": "on >secret ~* &* +@all"}
    with running_sentinel(users=users) as system:
        login = {"username": "node", "password": Secret("secret")}
        at_sentinels = {"sentinel_username": "node", "sentinel_password": Secret("secret")}
        async with opened(system, **login, **at_sentinels) as redis:
            await redis.check()
        async with opened(system, **login) as redis:
            with pytest.raises(StoreUnavailable):
                await redis.check()
