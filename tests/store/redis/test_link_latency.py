"""Reply times: a fixed share of the operations, and only those that were answered."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from wsmesh.config.redis import RedisSection
from wsmesh.config.values import Seconds
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.client import open_redis
from wsmesh.store.redis.latency import ONE_IN, ReplyTimes


@given(st.integers(0, 300))
def test_one_operation_in_seventeen_is_measured_and_all_are_settled(operations: int) -> None:
    clock = [0.0]
    times = ReplyTimes(lambda: clock[0])
    settled: list[int] = []
    for number in range(operations):
        settle = times.sampled(settled.append, began=clock[0])
        clock[0] += 0.5
        settle(number)

    assert settled == list(range(operations))
    assert times.seconds.count == -(-operations // ONE_IN)
    assert times.seconds.total == 0.5 * times.seconds.count


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [(b"OK", 1), (ResponseError("no"), 1), (StoreUnavailable("late"), 0)],
)
def test_an_error_reply_is_a_reply_and_silence_is_none(outcome: object, counts: int) -> None:
    times, settled = ReplyTimes(lambda: 3.0), []
    times.sampled(settled.append, began=1.0)(outcome)

    assert settled == [outcome]
    assert times.seconds.count == counts
    assert times.seconds.total == 2.0 * counts


def opened(server: Any, **options: Any) -> Any:
    return open_redis(RedisSection(url=server.url, **options), rng=random.Random(1))


async def test_a_slow_redis_shows_in_the_reply_times(redis_server) -> None:
    async with opened(redis_server, timeout=Seconds(5.0)) as redis:
        for _ in range(ONE_IN * 3):
            await redis.execute("PING")
        quick = redis.reply_times.seconds
        assert quick.count == 3
        assert quick.total < 1
        for _ in range(ONE_IN - 1):
            await redis.execute("PING")
        before = quick.count, quick.total
        redis_server.stop()
        async with trio.open_nursery() as nursery:
            for _ in range(ONE_IN):
                nursery.start_soon(redis.execute, "PING")
            await trio.sleep(0.4)
            redis_server.cont()

        assert quick.count >= before[0] + 1
        assert quick.total >= before[1] + 0.35


async def test_a_command_with_a_timeout_of_its_own_is_not_measured(redis_server) -> None:
    async with opened(redis_server) as redis:
        answered = trio.Event()
        redis.execute_nowait(("PING",), lambda reply: answered.set(), timeout=3.0)
        await answered.wait()
        assert redis.reply_times.seconds.count == 0


async def test_a_caller_that_was_cancelled_is_forgotten_as_before(redis_server) -> None:
    async with opened(redis_server) as redis:
        redis_server.stop()
        with trio.move_on_after(0.05) as gave_up:
            await redis.execute("PING")
        redis_server.cont()
        assert gave_up.cancelled_caught
        assert await redis.execute("PING") == b"PONG"
        assert redis.reply_times.seconds.count == 0
