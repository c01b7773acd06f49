"""The link to one real server; redis-py, which we did not write, checks what was done."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from attrs import evolve
from redis.exceptions import ResponseError

from wsmesh.config.redis import RedisSection
from wsmesh.config.values import ByteSize, Seconds, Secret
from wsmesh.errors import ConfigError, StoreUnavailable
from wsmesh.store.redis.client import Redis, Role, open_redis
from wsmesh.store.redis.scripts import Script

ADD = Script("add", "return redis.call('RPUSH', KEYS[1], ARGV[1])")
READ = Script("read", "return redis.call('LRANGE', KEYS[1], 0, -1)")


def section(server: Any, **options: Any) -> RedisSection:
    return RedisSection(**{"url": server.url} | options)


def opened(server: Any, **options: Any) -> Any:
    return open_redis(section(server, **options), rng=random.Random(1))


async def eventually(condition: Any, within: float = 5.0) -> None:
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.005)


async def until_answers(redis: Redis) -> None:
    with trio.fail_after(10):
        while True:
            try:
                await redis.check()
            except StoreUnavailable:
                await trio.sleep(0.02)
            else:
                return


async def test_what_we_write_redis_py_reads_and_the_other_way_round(redis_server):
    binary = bytes(range(256)) * 100
    async with opened(redis_server) as redis:
        assert await redis.execute("SET", "k", binary, "PX", 60_000) == b"OK"
        assert await redis.execute(b"HSET", b"h", "field", 7) == 1
        raw = redis_server.client()
        assert raw.get("k") == binary
        assert raw.hgetall("h") == {b"field": b"7"}
        raw.zadd("z", {"m": 1.5})
        raw.close()

        assert await redis.execute("ZRANGE", "z", 0, -1, "WITHSCORES") == [[b"m", 1.5]]
        assert await redis.execute("HGETALL", "h") == {b"field": b"7"}
        assert await redis.execute("GET", "absent") is None


async def test_an_error_reply_is_the_one_that_redis_py_raises(redis_server):
    redis_server.admin.set("k", "text")
    async with opened(redis_server) as redis:
        for command in (("LPUSH", "k", "x"), ("GET",), ("NO-SUCH", "x"), ("SET", "k", "v", "NO")):
            with pytest.raises(ResponseError) as ours:
                await redis.execute(*command)
            with pytest.raises(ResponseError) as theirs:
                redis_server.admin.execute_command(*command)
            assert type(ours.value) is type(theirs.value)
            assert str(ours.value) == str(theirs.value)


async def test_calls_of_one_tick_leave_in_one_write_and_in_order(redis_server):
    async with opened(redis_server) as redis:
        await redis.call(ADD, [b"warm"], ["up"], role=Role.PUBLISH)
        before = int(redis_server.admin.info()["total_reads_processed"])
        replies: list[Any] = []
        for number in range(500):
            redis.call_nowait(ADD, [b"list"], [number], replies.append)
        await eventually(lambda: len(replies) == 500)
        reads = int(redis_server.admin.info()["total_reads_processed"]) - before

        assert replies == [*range(1, 501)]
        assert redis_server.admin.lrange("list", 0, -1) == [str(n) for n in range(500)]
        # 60 KB in reads of at most 16 KB each, and the two of INFO itself
        assert reads <= 12


async def test_a_script_that_the_server_forgot_is_loaded_without_disturbing_the_order(
    redis_server
):
    async with opened(redis_server) as redis:
        await redis.call(ADD, [b"list"], ["first"])
        redis_server.admin.script_flush()
        replies: list[Any] = []
        for number in range(100):
            redis.call_nowait(ADD, [b"list"], [number], replies.append, role=Role.COMMANDS)
        last = await redis.call(ADD, [b"list"], ["last"])

        assert last == 102
        assert redis_server.admin.lrange("list", 1, -2) == [str(n) for n in range(100)]
        assert await redis.call(READ, [b"list"], []) is not None


async def test_cancelled_calls_do_not_shift_the_replies_of_others(redis_server):
    async with opened(redis_server) as redis:
        for number in range(200):
            redis_server.admin.set(f"k{number}", number)

        async def cancelled(number: int) -> None:
            with trio.move_on_after(number % 7 / 1000):
                await redis.execute("ECHO", f"wrong {number}")

        async with trio.open_nursery() as nursery:
            for number in range(2000):
                nursery.start_soon(cancelled, number)
        for number in range(200):
            assert await redis.execute("GET", f"k{number}") == str(number).encode()
        assert redis.statistics.in_flight == 0


async def test_what_was_written_when_the_connection_died_is_unknown_and_not_repeated(
    redis_server
):
    async with opened(redis_server, timeout=Seconds(5.0)) as redis:
        outcomes: list[Any] = []
        redis_server.stop()
        redis.execute_nowait(("INCR", "n"), outcomes.append, role=Role.COMMANDS)
        await eventually(lambda: redis.statistics.totals.bytes_out > 0)
        redis_server.kill()
        redis_server.start()
        await eventually(lambda: len(outcomes) == 1)
        await until_answers(redis)

        assert outcomes[0].is_unknown
        assert redis_server.admin.get("n") is None
        assert redis.statistics.totals.reconnects >= 1


async def test_an_idempotent_command_is_repeated_on_the_new_connection(redis_server):
    async with opened(redis_server, timeout=Seconds(5.0)) as redis:
        outcomes: list[Any] = []
        redis_server.stop()
        redis.execute_nowait(
            ("SET", "n", 7), outcomes.append, role=Role.COMMANDS, idempotent=True
        )
        redis.call_nowait(
            ADD, [b"list"], ["x"], outcomes.append, role=Role.COMMANDS, idempotent=True
        )
        await eventually(lambda: redis.statistics.totals.bytes_out > 0)
        redis_server.kill()
        redis_server.start()
        await eventually(lambda: len(outcomes) == 2)

        assert outcomes == [b"OK", 1]
        assert redis_server.admin.get("n") == "7"


async def test_a_restarted_server_is_found_again(redis_server):
    async with opened(redis_server) as redis:
        await redis.execute("SET", "k", "v")
        redis_server.kill()
        with pytest.raises(StoreUnavailable):
            with trio.fail_after(3):
                while True:
                    await redis.execute("GET", "k")
        await eventually(lambda: redis.statistics.connected == 0)
        with pytest.raises(StoreUnavailable, match="refused") as failure:
            await redis.execute("GET", "k")
        assert not failure.value.is_unknown
        with pytest.raises(StoreUnavailable):
            await redis.check()
        redis_server.start()
        await until_answers(redis)

        assert await redis.execute("GET", "k") is None


async def test_a_server_that_is_away_at_the_start_is_waited_for_without_blocking(redis_server):
    redis_server.kill()
    with trio.fail_after(5):
        async with opened(redis_server) as redis:
            with pytest.raises(StoreUnavailable):
                await redis.check()
            redis_server.start()
            await until_answers(redis)


async def test_a_stalled_server_opens_the_breaker_and_its_answer_closes_it(redis_server):
    async with opened(redis_server, timeout=Seconds(0.3)) as redis:
        await redis.check()
        redis_server.stop()
        outcomes: list[Any] = []
        for number in range(5):
            redis.execute_nowait(("SET", f"k{number}", 1), outcomes.append, role=Role.COMMANDS)
        began = trio.current_time()
        await eventually(lambda: len(outcomes) == 5)
        assert 0.25 < trio.current_time() - began < 1.0
        assert all(error.is_unknown for error in outcomes)
        assert redis.statistics.breakers_open == 1

        began = trio.current_time()
        with pytest.raises(StoreUnavailable, match="breaker") as failure:
            await redis.execute("GET", "k")
        assert trio.current_time() - began < 0.1
        assert not failure.value.is_unknown
        redis_server.cont()
        await eventually(lambda: redis.statistics.breakers_open == 0)
        assert await redis.execute("GET", "k4") == b"1"
        assert redis.statistics.totals.reconnects == 0


async def test_a_connection_that_stays_silent_is_given_up(redis_server):
    async with opened(redis_server, timeout=Seconds(0.1), connect_timeout=Seconds(0.1)) as redis:
        redis_server.stop()
        with pytest.raises(StoreUnavailable):
            await redis.execute("PING")
        await eventually(lambda: redis.statistics.connected == 0)
        redis_server.cont()
        await until_answers(redis)
        assert redis.statistics.totals.reconnects >= 1


async def test_more_than_the_bounds_fails_at_once_and_was_not_executed(redis_server):
    bounds: dict[str, Any] = {"max_in_flight": 10, "max_buffer": ByteSize(65536)}
    async with opened(redis_server, **bounds) as redis:
        await redis.execute("PING", role=Role.PUBLISH)
        outcomes: list[Any] = []
        for number in range(11):
            redis.execute_nowait(("SET", f"k{number}", 1), outcomes.append)
        (refused,) = outcomes
        assert not refused.is_unknown
        await eventually(lambda: len(outcomes) == 11)
        assert outcomes[1:] == [b"OK"] * 10
        assert redis_server.admin.exists("k10") == 0

        with pytest.raises(StoreUnavailable, match="too much"):
            await redis.execute("SET", "big", b"x" * 70_000)


async def test_a_full_server_says_so_and_nothing_was_executed(redis_server):
    async with opened(redis_server) as redis:
        redis_server.admin.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable, match="OOM") as failure:
            await redis.call(ADD, [b"list"], ["x"])
        assert not failure.value.is_unknown


async def test_a_patient_command_may_wait_longer_than_the_deadline(redis_server):
    async with opened(redis_server, timeout=Seconds(0.2)) as redis:
        outcomes: list[Any] = []
        redis.execute_nowait(("WAIT", 1, 500), outcomes.append, role=Role.DURABLE, timeout=2.0)
        redis.execute_nowait(("ECHO", "behind"), outcomes.append, role=Role.DURABLE)
        await eventually(lambda: len(outcomes) == 2)
        assert outcomes == [0, b"behind"]
        assert redis.statistics.breakers_open == 0


async def test_a_demoted_master_is_left_and_not_used_as_a_replica(start_redis):
    first, second = start_redis(), start_redis()
    async with opened(first) as redis:
        await redis.execute("SET", "k", 1)
        first.admin.replicaof("127.0.0.1", str(second.port))
        with pytest.raises(StoreUnavailable, match=r"READONLY|replica") as failure:
            await redis.execute("SET", "k", 2)
        assert not failure.value.is_unknown
        await eventually(lambda: redis.statistics.connected == 0)
        with pytest.raises(StoreUnavailable, match="is a replica, not a master"):
            await redis.execute("GET", "k")
        first.admin.replicaof("no", "one")
        await until_answers(redis)


async def test_a_slow_reader_of_a_big_reply_gets_it_whole(redis_server):
    redis_server.admin.set("big", "x" * 5_000_000)
    async with opened(redis_server) as redis:
        assert await redis.execute("GET", "big") == b"x" * 5_000_000


async def test_a_unix_socket_and_another_database(redis_server):
    url = redis_server.unix_url + "?db=3"
    async with opened(redis_server, url=url) as redis:
        await redis.execute("SET", "k", "there")
        assert redis.shards == (f"unix:{redis_server.directory}/redis.sock",)
        assert redis.shard_of(b"any") == redis.shards[0]
    with redis_server.client(db=3) as client:
        assert client.get("k") == b"there"


async def test_acl_users_log_in_and_wrong_passwords_are_told(start_redis):
    server = start_redis(users={"node": "on >secret ~* &* +@all -role"})
    section_ = RedisSection(url=server.url, username="node", password=Secret("secret"))
    async with open_redis(section_, rng=random.Random(1), name="node 1") as redis:
        assert await redis.execute("ACL", "WHOAMI") == b"node"
        assert await redis.execute("CLIENT", "GETNAME") == b"node-1"
    wrong = evolve(section_, password=Secret("wrong"))
    async with open_redis(wrong, rng=random.Random(1)) as redis:
        with pytest.raises(StoreUnavailable, match="WRONGPASS"):
            await redis.check()
    in_url = RedisSection(url=server.url_for("node", "secret"))
    async with open_redis(in_url, rng=random.Random(1)) as redis:
        await redis.check()


async def test_tls_with_a_client_certificate(start_redis):
    server = start_redis({"tls-auth-clients": "yes"}, tls=True)
    files = {
        "tls_ca": str(server.tls.ca),
        "tls_certificate": str(server.tls.client.certificate),
        "tls_key": str(server.tls.client.key),
    }
    async with opened(server, **files) as redis:
        await redis.execute("SET", "k", "x" * 200_000)
        assert await redis.execute("STRLEN", "k") == 200_000
        await redis.subscriber.subscribe(b"channel")
    named = files | {"tls_server_name": "localhost"}
    async with opened(server, **named) as redis:
        await redis.check()
    for wrong in ({"tls_server_name": "other.example"}, {"tls_ca": ""}):
        async with opened(server, **files | wrong) as redis:
            with pytest.raises(StoreUnavailable, match="certificate"):
                await redis.check()


def test_an_unusable_tls_file_is_the_operators_fault(tmp_path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    with pytest.raises(ConfigError) as failure:
        Redis(
            RedisSection(
                url="rediss://localhost", tls_ca=str(tmp_path / "absent"),
                tls_certificate=str(wrong), tls_key=str(wrong),
            ),
            rng=random.Random(1),
        )
    assert [fault.split(":")[0] for fault in failure.value.faults] == [
        "redis.tls_ca", "redis.tls_certificate",
    ]


async def test_a_client_that_does_not_run_fails_at_once(redis_server):
    redis = Redis(section(redis_server), rng=random.Random(1))
    with pytest.raises(StoreUnavailable, match="not open"):
        await redis.execute("PING")


async def test_the_end_of_the_client_ends_what_waits(redis_server):
    outcomes: list[Any] = []
    async with opened(redis_server) as redis:
        redis_server.stop()
        redis.execute_nowait(("PING",), outcomes.append, role=Role.COMMANDS)
        await eventually(lambda: redis.statistics.totals.bytes_out > 0)
    assert [error.is_unknown for error in outcomes] == [True]
