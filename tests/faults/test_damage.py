"""Damage under load: lost tails, corrupt values, floods, a node without anybody."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import redis
import trio

from tests.cluster_process import await_states
from tests.faults.stage import AFTER, Stage, under_load
from tests.servers.proxy import open_proxy
from tests.servers.sentinel import redis_sentinel
from tests.servers.standalone import RedisServer

pytestmark = pytest.mark.slow

GARBAGE = b"\x00\xff not what was here"


async def everybody_is_back(stage: Stage) -> None:
    alive = {f"node-{number}": "alive" for number in range(3)}
    await trio.to_thread.run_sync(await_states, stage.nodes[0], alive)


async def test_a_tail_that_is_lost_at_a_promotion_is_said_to_everybody(tmp_path: Path) -> None:
    """What the old master acknowledged while no replica listened is gone; nobody may not know."""
    async with redis_sentinel() as servers, under_load(tmp_path, servers.url) as stage:
        async with stage.load.fault("promotion", "master", outage=True):
            # Replicas look for their master once a second; until then nothing reaches them.
            servers.master.admin.client_kill_filter(_type="replica")
            await trio.sleep(0.5)
            servers.kill_master()
            await servers.wait_promotion()
            await trio.sleep(AFTER)
    verdict = stage.load.verdict(demand={"S2"})
    assert verdict.is_valid, str(verdict)


async def test_a_node_without_redis_and_without_peers_is_dead_and_comes_back_as_another(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with open_proxy(redis_server.address) as store, open_proxy(("127.0.0.1", 17_442)) as mesh:
        own = {
            1: {
                "url": f"redis://127.0.0.1:{store.port}",
                "more": '[cluster]\naddress = "127.0.0.1:17442"\n'
                f'advertise = "127.0.0.1:{mesh.port}"\n',
            }
        }
        async with under_load(tmp_path, redis_server.url, own) as stage:
            async with stage.load.fault("cut", "node-1", silent=True, outage=True):
                store.blackhole()
                mesh.blackhole()
                await trio.sleep(6)
                for proxy in (store, mesh):
                    proxy.reset()
                    await proxy.heal()
                await trio.sleep(AFTER)
            await everybody_is_back(stage)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


def corrupt(admin: redis.Redis, key: bytes) -> None:
    """Put something else where the key was: of the same type for half of them."""
    match admin.type(key):
        case b"stream" | "stream":
            last = admin.xinfo_stream(key)["last-generated-id"]
            number = int((last.decode() if isinstance(last, bytes) else last).partition("-")[0])
            admin.xadd(key, {"p": GARBAGE}, id=f"{number + 1}-0")
        case b"hash" | "hash":
            for field in admin.hkeys(key):
                admin.hset(key, field, GARBAGE)
        case b"zset" | "zset":
            admin.zadd(key, {GARBAGE: 1e15})
        case b"set" | "set":
            admin.sadd(key, GARBAGE)
        case b"string" | "string":
            admin.set(key, GARBAGE, keepttl=True)
        case kind:
            raise AssertionError(f"{key!r} is a {kind!r}")


async def test_corrupt_values_in_every_kind_of_key_are_survived_and_said(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with under_load(tmp_path, redis_server.url) as stage:
        admin = redis_server.admin
        kinds: set[bytes] = set()
        async with stage.load.fault("corruption", "redis", outage=True):
            for key in list(admin.scan_iter("*")):
                name = key.encode() if isinstance(key, str) else key
                kind = name.split(b"}:")[1].split(b":")[0]
                # Of the channels one is damaged, so that the others show who is not concerned.
                is_other = kind in (b"meta", b"stream") and not name.endswith(b":a")
                if is_other or kind == b"secret":
                    continue
                corrupt(admin, name)
                kinds.add(kind)
                await trio.sleep(0.05)
            await trio.sleep(AFTER)
        assert {b"meta", b"stream", b"nodes", b"leases", b"version", b"outcome"} <= kinds
        await everybody_is_back(stage)
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


async def test_a_subscriber_beyond_its_output_buffer_is_dropped_and_hears_what_it_missed(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with under_load(tmp_path, redis_server.url) as stage:
        admin = redis_server.admin
        admin.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
        (shard,) = [name for name in admin.pubsub_shardchannels() if name.endswith(":a")]
        async with stage.load.fault("flood", "node-1"):
            stage.nodes[1].process.send_signal(signal.SIGSTOP)
            for _ in range(400):
                admin.execute_command("SPUBLISH", shard, GARBAGE * 4096)
            await trio.sleep(0.5)
            stage.nodes[1].process.send_signal(signal.SIGCONT)
            await trio.sleep(AFTER)
        assert "overcoming of output buffer limits" in redis_server.said(), "Redis has dropped it"
    verdict = stage.load.verdict()
    assert verdict.is_valid, str(verdict)


