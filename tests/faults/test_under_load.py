"""Faults under load, judged from the record: nothing lost, doubled or reordered, or it was said."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio

from tests.cluster_process import await_states, states
from tests.faults.stage import AFTER, CHANNELS, clients_of, under_load
from tests.servers.cluster import redis_cluster
from tests.servers.proxy import open_proxy
from tests.servers.sentinel import redis_sentinel
from tests.servers.standalone import AOF, MEMORY_ONLY, RedisServer, redis_server

pytestmark = pytest.mark.slow

async def test_a_killed_node_costs_nothing(tmp_path: Path, redis_server: RedisServer) -> None:
    async with under_load(tmp_path, redis_server.url) as stage:
        async with stage.load.fault("kill", "node-1"):
            stage.nodes[1].process.kill()
            await trio.sleep(AFTER)
    verdict = stage.load.verdict(demand={"S1"})
    assert verdict.is_valid, str(verdict)


async def test_a_node_that_stops_for_half_a_second_is_not_given_up(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with under_load(tmp_path, redis_server.url) as stage:
        async with stage.load.fault("stop", "node-1"):
            stage.nodes[1].process.send_signal(signal.SIGSTOP)
            await trio.sleep(0.5)
            stage.nodes[1].process.send_signal(signal.SIGCONT)
        await trio.sleep(AFTER)
        assert all('"what":"died"' not in node.said() for node in stage.nodes)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


async def test_a_zombie_is_fenced_and_comes_back_as_another(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with under_load(tmp_path, redis_server.url) as stage:
        async with stage.load.fault("stop", "node-1", silent=True):
            stage.nodes[1].process.send_signal(signal.SIGSTOP)
            await trio.sleep(6)
            assert "node-1" not in await trio.to_thread.run_sync(states, stage.nodes[0])
            stage.nodes[1].process.send_signal(signal.SIGCONT)
        alive = {f"node-{number}": "alive" for number in range(3)}
        await trio.to_thread.run_sync(await_states, stage.nodes[0], alive)
        assert "node.fenced" in stage.nodes[1].said()
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


@pytest.mark.parametrize("config", [AOF, MEMORY_ONLY], ids=["append-only file", "no persistence"])
async def test_a_redis_that_was_killed_and_started_again_is_survived_and_said(
    tmp_path: Path, config: dict[str, str]
) -> None:
    async with redis_server(config) as server, under_load(tmp_path, server.url) as stage:
        clients = [await clients_of(node) for node in stage.nodes]
        async with stage.load.fault("restart", "redis", outage=True):
            server.kill()
            await trio.sleep(1)
            server.start()
            await trio.sleep(AFTER)
        assert [await clients_of(node) for node in stage.nodes] == clients
    verdict = stage.load.verdict(demand={"S2"})
    assert verdict.is_valid, str(verdict)


async def test_a_redis_that_sleeps_for_three_seconds_kills_nobody(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with under_load(tmp_path, redis_server.url) as stage:
        async with stage.load.fault("sleep", "redis", outage=True):
            with redis_server.client(socket_timeout=10) as sleeper:
                await trio.to_thread.run_sync(sleeper.execute_command, "DEBUG", "SLEEP", "3")
        assert all('"what":"died"' not in node.said() for node in stage.nodes)
        assert all(node.get("/health/live")[0] == 200 for node in stage.nodes)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


async def test_subscribers_that_redis_drops_hear_what_they_missed(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with under_load(tmp_path, redis_server.url) as stage:
        async with stage.load.fault("drop", "redis"):
            for _ in range(5):
                redis_server.admin.client_kill_filter(_type="pubsub")
                await trio.sleep(0.3)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


async def test_a_redis_without_memory_refuses_and_nothing_is_acknowledged_that_is_not_stored(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with under_load(tmp_path, redis_server.url) as stage:
        async with stage.load.fault("memory", "redis", outage=True):
            redis_server.admin.config_set("maxmemory", "1mb")
            await trio.sleep(2)
            redis_server.admin.config_set("maxmemory", "0")
            await trio.sleep(AFTER)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


async def test_a_killed_master_of_a_cluster_is_survived_and_said(tmp_path: Path) -> None:
    async with redis_cluster() as servers, under_load(tmp_path, servers.url) as stage:
        async with stage.load.fault("kill", "master", outage=True):
            lost = servers.masters[0]
            servers.kill_master(0)
            await servers.wait_failover(lost)
            await trio.sleep(AFTER)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


async def test_slots_may_move_while_messages_are_published(tmp_path: Path) -> None:
    async with redis_cluster() as servers, under_load(tmp_path, servers.url) as stage:
        async with stage.load.fault("reslot", "cluster"):
            for channel in CHANNELS:
                key = next(
                    key for master in servers.masters
                    for key in master.admin.scan_iter(f"*{channel}")
                )
                slot = servers.masters[0].admin.cluster("KEYSLOT", key)
                owner = servers.owner_of(slot)
                target = next(each for each in servers.masters if each is not owner)
                await servers.move_slot(slot, target)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


async def test_a_killed_master_under_sentinel_is_survived_and_said(tmp_path: Path) -> None:
    async with redis_sentinel() as servers, under_load(tmp_path, servers.url) as stage:
        async with stage.load.fault("kill", "master", outage=True):
            servers.kill_master()
            await servers.wait_promotion()
            await trio.sleep(AFTER)
    verdict = stage.load.verdict(demand={"S2"})
    assert verdict.is_valid, str(verdict)


async def test_a_node_that_is_cut_off_from_redis_alone_keeps_its_clients_and_is_not_dead(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with open_proxy(redis_server.address) as proxy:
        own = {1: {"url": f"redis://127.0.0.1:{proxy.port}"}}
        async with under_load(tmp_path, redis_server.url, own) as stage:
            clients = await clients_of(stage.nodes[1])
            async with stage.load.fault("cut", "node-1", outage=True):
                proxy.blackhole()
                await trio.sleep(6)
                ready, why = await trio.to_thread.run_sync(stage.nodes[1].get, "/health/ready")
                assert ready == 503
                assert "store" in why
                proxy.reset()
                await proxy.heal()
                await trio.sleep(AFTER)
            assert await clients_of(stage.nodes[1]) == clients > 0
            assert all('"what":"died"' not in node.said() for node in stage.nodes)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


async def test_a_node_that_its_peers_cannot_reach_is_dead_and_comes_back_as_another(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with open_proxy(("127.0.0.1", 17_441)) as proxy:
        mesh = f'[cluster]\naddress = "127.0.0.1:17441"\nadvertise = "127.0.0.1:{proxy.port}"\n'
        async with under_load(tmp_path, redis_server.url, {1: {"more": mesh}}) as stage:
            async with stage.load.fault("cut", "node-1", silent=True):
                proxy.blackhole()
                await trio.sleep(5)
                await proxy.heal()
            alive = {f"node-{number}": "alive" for number in range(3)}
            await trio.to_thread.run_sync(await_states, stage.nodes[0], alive)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)
