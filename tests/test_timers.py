"""Timers: due ones run, cancelled ones do not, late by at most the granularity."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from wsmesh.timers import GRANULARITY, TOLERATED, Timers


async def test_a_timer_runs_once_and_at_most_the_granularity_late(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    timers = Timers(trio.current_time)
    nursery.start_soon(timers.run)
    began = trio.current_time()
    ran: list[float] = []
    for delay in (0.0, 1.0, 1.01, 30.0):
        timers.after(delay, lambda: ran.append(trio.current_time() - began))
    await trio.sleep(60)
    for delay, at in zip((0.0, 1.0, 1.01, 30.0), ran, strict=True):
        assert delay <= at <= delay + 2 * GRANULARITY


async def test_a_cancelled_timer_does_not_run(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    timers = Timers(trio.current_time)
    nursery.start_soon(timers.run)
    ran: list[int] = []
    timer = timers.after(1.0, lambda: ran.append(1))
    timer.cancel()
    timer.cancel()
    await trio.sleep(5)
    assert ran == []
    assert len(timers) == 0


async def test_a_timer_may_set_another(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    timers = Timers(trio.current_time)
    nursery.start_soon(timers.run)
    ran: list[int] = []
    timers.after(1.0, lambda: timers.after(1.0, lambda: ran.append(2)) and None)
    await trio.sleep(3)
    assert ran == [2]


async def test_cancelled_timers_do_not_pile_up(autojump_clock: MockClock) -> None:
    timers = Timers(trio.current_time)
    kept = timers.after(3600, lambda: None)
    for _ in range(100_000):
        timers.after(3600, lambda: None).cancel()
    assert len(timers) == 1
    assert timers.held <= 2 * TOLERATED + 2
    kept.cancel()
    assert len(timers) == 0


async def test_a_timer_that_raises_does_not_keep_the_others_from_running(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    faults: list[Exception] = []
    ran: list[int] = []
    timers = Timers(trio.current_time, faults.append)
    nursery.start_soon(timers.run)
    timers.after(1.0, lambda: ran.append(1 // 0))
    timers.after(1.0, lambda: ran.append(2))
    await trio.sleep(3)
    assert ran == [2]
    assert [type(fault) for fault in faults] == [ZeroDivisionError]
