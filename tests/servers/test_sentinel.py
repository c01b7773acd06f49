"""The sentinels that tests get agree about a master, replace a dead one, and take it back."""

from __future__ import annotations

import pytest
import redis
from redis.sentinel import MasterNotFoundError, Sentinel

from tests.servers.sentinel import SERVICE
from tests.servers.sentinel import redis_sentinel as sentinel_system


def test_the_sentinels_name_the_master_and_its_replica(redis_sentinel) -> None:
    master, (replica,) = redis_sentinel.master, redis_sentinel.replicas
    assert {master, replica} == set(redis_sentinel.servers)
    assert redis_sentinel.url.startswith("redis+sentinel://127.0.0.1:")
    assert redis_sentinel.url.endswith(f"/{SERVICE}")
    watchers = Sentinel([sentinel.address for sentinel in redis_sentinel.sentinels])
    assert watchers.discover_master(SERVICE) == master.address
    assert watchers.discover_slaves(SERVICE) == [replica.address]
    with pytest.raises(MasterNotFoundError):
        watchers.discover_master("other")
    master.admin.set("key", "value")
    assert master.admin.wait(1, 1000) == 1
    assert replica.admin.get("key") == "value"
    with pytest.raises(redis.exceptions.ReadOnlyError):
        replica.admin.set("key", "other")


async def test_a_promotion_in_order_changes_roles(redis_sentinel) -> None:
    before = redis_sentinel.master
    after = await redis_sentinel.failover()
    assert after is not before
    assert redis_sentinel.master is after


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["kill_master", "stop_master"])
async def test_a_lost_master_is_replaced_and_comes_back_as_a_replica(
    redis_sentinel, fault: str
) -> None:
    redis_sentinel.master.admin.set("key", "value")
    assert redis_sentinel.master.admin.wait(1, 1000) == 1
    lost = getattr(redis_sentinel, fault)()
    successor = await redis_sentinel.wait_promotion()
    assert successor is not lost
    assert successor.admin.get("key") == "value"
    await redis_sentinel.heal()
    assert redis_sentinel.master is successor
    assert redis_sentinel.replicas == [lost]


async def test_sentinels_speak_tls_and_know_users() -> None:
    users = {"node": "on >secret ~* &* +@all"}
    async with sentinel_system(tls=True, users=users) as system:
        assert system.url.startswith("rediss+sentinel://")
        options = {"username": "node", "password": "secret", "decode_responses": True}
        with system.sentinels[0].client(**options) as watcher:
            assert watcher.sentinel_get_master_addr_by_name(SERVICE) == system.master.address
        with system.master.client(username="node", password="wrong") as stranger:
            with pytest.raises(redis.AuthenticationError):
                stranger.ping()
