"""When things are due in an open loop, and latency measured from that moment.

A stall of the server must be charged to everything that was due during it; a generator that waits
for one answer before it asks the next question would hide it. Pure: `now` is an argument.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from attrs import Factory, define, frozen
from hdrh.histogram import HdrHistogram  # has no stubs

SECOND = 1_000_000_000
LOWEST_US, HIGHEST_US, DIGITS = 1, 60_000_000, 3


@frozen
class Schedule:
    """`count` events, `rate` a second, the first at `start` (ns)."""

    start: int
    rate: float
    count: int

    def due(self, number: int) -> int:
        """When event `number` is due, in ns; computed from the start, so that it cannot drift."""
        return self.start + round(number * SECOND / self.rate)

    def due_by(self, now: int) -> int:
        """How many events are due at `now` (ns), at most `count`."""
        if now < self.start:
            return 0
        estimate = min(self.count, int((now - self.start) * self.rate / SECOND) + 1)
        while estimate < self.count and self.due(estimate) <= now:
            estimate += 1
        while estimate > 0 and self.due(estimate - 1) > now:
            estimate -= 1
        return estimate


@define
class Recorder:
    """Durations, kept raw while it matters and put into a histogram afterwards."""

    samples: array[int] = Factory(lambda: array("q"))

    def record(self, due: int, now: int) -> None:
        """Note that what was due at `due` was finished at `now`, both in ns."""
        self.samples.append(now - due)

    def summary(self) -> dict[str, float]:
        """Count and percentiles in milliseconds."""
        return summarise(self.samples)


def summarise(durations: Iterable[int]) -> dict[str, float]:
    """Count and percentiles in milliseconds of durations in ns (HdrHistogram, 3 digits)."""
    histogram = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)
    for duration in durations:
        histogram.record_value(min(max(duration // 1000, LOWEST_US), HIGHEST_US))
    points = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
    summary = {name: histogram.get_value_at_percentile(at) / 1000 for name, at in points.items()}
    return {"count": histogram.get_total_count(), **summary}
