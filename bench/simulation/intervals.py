"""Medians over seeds, with intervals that say how far to trust them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf
from statistics import median

from attrs import frozen

RESAMPLES = 500


@frozen
class Estimate:
    """A median over runs, with a 95 % interval.

    :param low: end of the interval; the median itself where there is one run.
    """

    median: float
    low: float
    high: float
    runs: int

    def __str__(self) -> str:
        if self.low == self.high:
            return shown(self.median)
        return f"{shown(self.median)} [{shown(self.low)}, {shown(self.high)}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median with its interval by the bootstrap (B. Efron, 1979; percentile method).

    The resamples are the same in every process. Values may be infinite.
    """
    rng = random.Random(len(values))
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    cut = RESAMPLES // 40
    return Estimate(median(values), medians[cut], medians[-1 - cut], len(values))


def shown(value: float) -> str:
    """Return a number with three or four digits, `never` for an infinite one."""
    if value == inf:
        return "never"
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    digits = 3 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:.{digits}f}"
