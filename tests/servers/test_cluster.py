"""The cluster that tests get is real: it serves every slot, fails over, and moves slots live."""

from __future__ import annotations

import pytest
import redis
import trio

from tests.servers.cluster import SLOTS, redis_cluster, slot_of
from tests.servers.standalone import ONCE

KEYS = [f"key:{number}" for number in range(60)]


def test_every_slot_is_served_by_a_master_with_a_replica(redis_cluster) -> None:
    masters = redis_cluster.masters
    assert len(masters) == 3
    assert [len(redis_cluster.replicas_of(master)) for master in masters] == [1, 1, 1]
    assert redis_cluster.owner_of(0) is masters[0]
    assert redis_cluster.owner_of(SLOTS - 1) is masters[2]
    assert {redis_cluster.master_of(key) for key in KEYS} == set(masters)
    for key in KEYS:
        redis_cluster.master_of(key).admin.set(key, 1)


def test_a_cluster_is_lent_empty(redis_cluster) -> None:
    assert [master.admin.dbsize() for master in redis_cluster.masters] == [0, 0, 0]


def test_others_know_the_cluster_from_any_of_its_addresses(redis_cluster) -> None:
    assert redis_cluster.url.startswith("redis+cluster://127.0.0.1:")
    node = redis_cluster.servers[-1]
    with redis.RedisCluster("127.0.0.1", node.port) as client:
        assert client.set("key", "value")
        assert redis_cluster.master_of("key").admin.get("key") == "value"


async def test_a_slot_moves_with_its_keys(redis_cluster) -> None:
    slot = slot_of("{tag}")
    source = redis_cluster.owner_of(slot)
    target = next(master for master in redis_cluster.masters if master is not source)
    for number in range(250):
        source.admin.set(f"{{tag}}{number}", number)
    await redis_cluster.move_slot(slot, target)
    assert redis_cluster.owner_of(slot) is target
    assert target.admin.get("{tag}249") == "249"
    with pytest.raises(redis.exceptions.MovedError):
        source.admin.get("{tag}0")
    await redis_cluster.wait_ok()


def test_a_move_can_be_looked_at_half_way(redis_cluster) -> None:
    slot = slot_of("{tag}")
    source = redis_cluster.owner_of(slot)
    target = next(master for master in redis_cluster.masters if master is not source)
    for number in range(10):
        source.admin.set(f"{{tag}}{number}", number)
    move = redis_cluster.slot_move(slot, target)
    move.begin()
    assert move.move_keys(limit=9) == 9
    answers = []
    for number in range(10):
        try:
            answers.append(source.admin.get(f"{{tag}}{number}"))
        except redis.exceptions.AskError:
            answers.append("ASK")
    assert sorted(answers)[1:] == ["ASK"] * 9
    assert move.move_keys() == 1
    move.finish()
    assert redis_cluster.owner_of(slot) is target


async def test_a_promotion_in_order_loses_nothing(redis_cluster) -> None:
    master = redis_cluster.master_of("key")
    master.admin.set("key", "value")
    promoted = await redis_cluster.promote(master)
    assert promoted is not master
    assert redis_cluster.master_of("key") is promoted
    assert promoted.admin.get("key") == "value"
    assert redis_cluster.replicas_of(promoted) == [master]


@pytest.mark.slow
async def test_a_killed_master_is_replaced_and_comes_back_as_a_replica(redis_cluster) -> None:
    lost = redis_cluster.kill_master(0)
    assert not lost.is_running
    successor = await redis_cluster.wait_failover(lost)
    assert successor is not lost
    assert redis_cluster.owner_of(0) is successor
    await redis_cluster.heal()
    assert redis_cluster.replicas_of(successor) == [lost]


@pytest.mark.slow
async def test_a_stopped_master_is_replaced_and_steps_down(redis_cluster) -> None:
    lost = redis_cluster.stop_master(2)
    successor = await redis_cluster.wait_failover(lost)
    await redis_cluster.heal()
    assert redis_cluster.masters[2] is successor
    with trio.fail_after(10):
        while lost.admin.role()[0] != "slave":
            await trio.sleep(0.05)


@pytest.mark.slow
async def test_a_cluster_speaks_tls_and_knows_users() -> None:
    users = {"node": "on >secret ~* &* +@all"}
    async with redis_cluster(masters=2, replicas=1, tls=True, users=users) as cluster:
        assert cluster.url.startswith("rediss+cluster://")
        master = cluster.master_of("key")
        master.admin.set("key", "value")
        target = next(other for other in cluster.masters if other is not master)
        await cluster.move_slot(slot_of("key"), target)
        options = {"username": "node", "password": "secret", "decode_responses": True}
        with target.client(**options) as client:
            assert client.acl_whoami() == "node"
            assert client.get("key") == "value"
        with redis.Redis(port=target.port, **ONCE) as plain, pytest.raises(redis.ConnectionError):
            plain.ping()
