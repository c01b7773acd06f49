"""Open-loop pacing and the histogram: a stall is charged to everyone who was due during it."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from bench.load.pacing import SECOND, Recorder, Schedule, summarise


@given(
    start=st.integers(0, 10**15),
    rate=st.floats(0.5, 1e6),
    count=st.integers(1, 100_000),
    elapsed=st.integers(0, 10**12),
)
def test_exactly_the_events_whose_time_has_come_are_due(
    start: int, rate: float, count: int, elapsed: int
) -> None:
    schedule = Schedule(start, rate, count)
    now = start + elapsed

    due = schedule.due_by(now)

    assert 0 <= due <= count
    assert due == 0 or schedule.due(due - 1) <= now
    assert due == count or schedule.due(due) > now


def test_nothing_is_due_before_the_start() -> None:
    assert Schedule(start=SECOND, rate=1000, count=5).due_by(SECOND - 1) == 0


def test_a_late_generator_catches_up_and_does_not_shift_the_schedule() -> None:
    schedule = Schedule(start=0, rate=100, count=1000)

    assert schedule.due_by(3 * SECOND) == 301
    assert schedule.due(301) == 3 * SECOND + SECOND // 100


async def test_one_stall_of_a_second_pushes_the_median_of_two_seconds_above_half_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A closed loop would have recorded one slow answer among two hundred fast ones."""
    recorder = Recorder()
    schedule = Schedule(start=0, rate=100, count=200)
    done = 0
    while done < schedule.count:
        now = round(trio.current_time() * SECOND)
        if 0.2 <= now / SECOND < 1.2:
            await trio.sleep_until(1.2)
            continue
        for number in range(done, schedule.due_by(now)):
            recorder.record(schedule.due(number), now)
        done = schedule.due_by(now)
        await trio.sleep(0.001)

    summary = recorder.summary()

    assert summary["count"] == 200
    assert summary["p99"] > 900
    assert 0 < summary["p50"] < 100
    assert sum(sample > 0.4 * SECOND for sample in recorder.samples) >= 59


def test_percentiles_are_in_milliseconds_with_three_digits() -> None:
    summary = summarise(millis * 1_000_000 for millis in range(1, 101))

    assert summary["count"] == 100
    assert summary["p50"] == pytest.approx(50, rel=0.002)
    assert summary["p99"] == pytest.approx(99, rel=0.002)
    assert summary["max"] == pytest.approx(100, rel=0.002)


def test_durations_beyond_the_histogram_are_counted_at_its_ends() -> None:
    summary = summarise([-5, 3600 * SECOND])

    assert summary["count"] == 2
    assert summary["max"] == pytest.approx(60_000, rel=0.002)
