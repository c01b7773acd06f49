"""The interpreter as a source of latency: the event loop's lag and the garbage collector."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import trio

from wsmesh.metrics import Metrics

TICK = 0.1
"""Seconds between looks at the event loop."""

YOUNG, MIDDLE, OLD = 5_000, 200, 100
"""Thresholds of the collector. A connection is a few dozen containers and is freed by reference
counting alone, so with the defaults (700, 10, 10) thousands of living connections would be visited
again and again for nothing. YOUNG sets how long the usual pause is, YOUNG * MIDDLE how seldom a
longer one comes. Measured in docs/decisions/garbage-collector.md."""


async def watch_loop_lag(metrics: Metrics, late: Callable[[float], None]) -> None:
    """Measure how late the event loop wakes a sleeper, until cancelled.

    :param late: told each time, in seconds.
    """
    while True:
        due = trio.current_time() + TICK
        await trio.sleep_until(due)
        lag = max(0.0, trio.current_time() - due)
        metrics.last_loop_lag = lag
        metrics.loop_lag_seconds.observe(lag)
        late(lag)


def tune_gc() -> None:
    """Take what exists out of every collection, and collect the rest seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


@contextmanager
def gc_pauses(metrics: Metrics) -> Generator[None]:
    """Measure the collector's pauses while the block runs."""
    began = 0.0

    def watch(phase: str, info: dict[str, int]) -> None:
        nonlocal began
        if phase == "start":
            began = time.perf_counter()
        else:
            metrics.gc_pause_seconds.observe(time.perf_counter() - began)

    gc.callbacks.append(watch)
    try:
        yield
    finally:
        gc.callbacks.remove(watch)
