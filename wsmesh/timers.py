"""Many cheap timers in one task: pings, deadlines and expiries of all connections."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

import trio

GRANULARITY = 0.05
"""Seconds a timer may be late; one wake-up then serves every timer that is due."""

TOLERATED = 256
"""Cancelled timers that may wait in the heap until they would have been due."""


class Timer:
    """A call that is due later; `cancel` forgets it and what it holds."""

    __slots__ = ("_timers", "action")

    def __init__(self, timers: Timers, action: Callable[[], None]) -> None:
        self._timers = timers
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do not call; harmless when it already happened."""
        if self.action is not None:
            self.action = None
            self._timers.forget_one()


class Timers:
    """A heap of timers, run by one task (`run`).

    :param now: seconds, monotonic.
    :param failed: takes what an action raises, so that the others still run; None: it is raised.
    """

    def __init__(
        self, now: Callable[[], float], failed: Callable[[Exception], None] | None = None
    ) -> None:
        self._now = now
        self._failed = failed
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._something = trio.Event()
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    @property
    def held(self) -> int:
        """Entries of the heap, cancelled ones included."""
        return len(self._heap)

    def after(self, delay: float, action: Callable[[], None]) -> Timer:
        """Call `action` in `delay` seconds, at most `GRANULARITY` late."""
        timer = Timer(self, action)
        heapq.heappush(self._heap, (self._now() + delay, next(self._order), timer))
        self._something.set()
        return timer

    def run_due(self) -> None:
        """Call what is due."""
        heap = self._heap
        now = self._now()
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            action, timer.action = timer.action, None
            if action is None:
                self._cancelled -= 1
            else:
                self._run(action)

    def _run(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as fault:
            if self._failed is None:
                raise
            self._failed(fault)

    def forget_one(self) -> None:
        """A timer was cancelled; drop the cancelled ones when they are most of the heap."""
        self._cancelled += 1
        if self._cancelled > TOLERATED and 2 * self._cancelled > len(self._heap):
            self._heap[:] = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            if not self._heap:
                self._something = trio.Event()
                await self._something.wait()
            await trio.sleep(GRANULARITY)
            self.run_due()
