"""How long Redis takes to answer: the times of some operations, chosen by count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wsmesh.errors import StoreUnavailable
from wsmesh.histogram import Histogram
from wsmesh.store.redis.pipeline import Settle

ONE_IN = 17
"""Operations for each that is measured. A prime: work that repeats itself in rounds of 2, 8 or 10
operations is not always caught at the same one."""

BOUNDS = (
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0,
)  # fmt: skip
"""Seconds."""


class ReplyTimes:
    """A sample of the times from submission to reply.

    What got no reply is not in it: `Totals.missed_deadlines` counts that.

    :param now: the clock of the link, seconds.
    """

    __slots__ = ("_left", "_now", "seconds")

    def __init__(self, now: Callable[[], float]) -> None:
        self.seconds = Histogram(BOUNDS)
        self._now = now
        self._left = 0

    def sampled(self, settle: Settle, began: float) -> Settle:
        """Return what an operation submitted at `began` is to be settled with."""
        if self._left:
            self._left -= 1
            return settle
        self._left = ONE_IN - 1

        def timed(outcome: Any) -> None:
            if not isinstance(outcome, StoreUnavailable):
                self.seconds.observe(self._now() - began)
            settle(outcome)

        return timed
