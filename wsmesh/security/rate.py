"""Rate limits by the generic cell rate algorithm: one float of state for each thing limited.

The state is the theoretical arrival time (tat): when the next event would be due if events came
exactly at the rate. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

from collections import OrderedDict
from math import floor

SLACK = 1 / 64
"""Share of an interval that an event may come early, so that rounding never costs a burst."""


def gcra(tat: float, now: float, interval: float, tolerance: float) -> float:
    """Decide on one event: the new tat when admitted, minus the seconds to wait when not.

    :param tat: state, 0.0 at first; stays as it was when the event is refused.
    :param interval: seconds between events at the rate.
    :param tolerance: seconds that tat may be ahead of now.
    """
    if tat <= now:
        return now + interval
    wait = tat - now - tolerance
    if wait > 0.0:
        return -wait
    return tat + interval


def granted(
    tat: float, now: float, interval: float, tolerance: float, want: int
) -> tuple[int, float]:
    """Decide on several events at once: how many are admitted, and the new tat.

    With none, the tat stays as it was, and the next is due `tat - now - tolerance` from now.
    """
    start = max(tat, now)
    count = min(want, floor((now + tolerance - start) / interval) + 1)
    return (count, start + count * interval) if count > 0 else (0, tat)


class Rate:
    """So many events per second, after a burst; what `gcra` needs, shared by all it applies to."""

    __slots__ = ("interval", "tolerance")

    def __init__(self, per_second: float, burst: int) -> None:
        if per_second <= 0 or burst < 1:
            raise ValueError(f"expected a rate above 0 and a burst, found {per_second}, {burst}")
        self.interval = 1.0 / per_second
        self.tolerance = (burst - 1 + SLACK) * self.interval

    def __repr__(self) -> str:
        return f"Rate(interval={self.interval:g}, tolerance={self.tolerance:g})"


class GCRA:
    """One limited thing, for example the control frames of one connection."""

    __slots__ = ("rate", "tat")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.tat = 0.0

    def admit(self, now: float, reserve: float = 0.0) -> float:
        """Count an event: 0.0 when admitted, else the seconds to wait, and nothing is counted.

        :param reserve: seconds of the burst that are kept for other events.
        """
        rate = self.rate
        tat = self.tat
        if tat <= now:
            self.tat = now + rate.interval
            return 0.0
        wait = tat - now - rate.tolerance + reserve
        if wait > 0.0:
            return wait
        self.tat = tat + rate.interval
        return 0.0


class Turns:
    """Moments for those who could not be admitted: one each, so that they do not come together.

    :param longest: seconds that nobody is told to wait beyond; those after it share the last turn.
    """

    __slots__ = ("_longest", "_promised")

    def __init__(self, longest: float = 30.0) -> None:
        self._longest = longest
        self._promised = 0.0

    def take(self, now: float, wait: float, interval: float) -> float:
        """Return in how many seconds somebody may come.

        :param wait: seconds before which nobody can be admitted.
        :param interval: seconds between two of them.
        """
        self._promised = min(max(self._promised + interval, now + wait), now + self._longest)
        return self._promised - now


class RateLimiter:
    """A rate for each key; remembers the `capacity` keys that were last admitted.

    A forgotten key starts with a full burst again, so capacity bounds memory, and an attacker
    needs more than `capacity` keys to gain anything from it.
    """

    def __init__(self, rate: float, burst: int, *, capacity: int = 100_000) -> None:
        self._rate = Rate(rate, burst)
        self._capacity = capacity
        self._tats: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tats)

    def admit(self, key: str, now: float) -> float:
        """Count an event of `key`: 0.0 when admitted, else the seconds to wait. O(1)."""
        tat = gcra(self._tats.get(key, 0.0), now, self._rate.interval, self._rate.tolerance)
        if tat < 0.0:
            return -tat
        self._tats[key] = tat
        self._tats.move_to_end(key)
        if len(self._tats) > self._capacity:
            self._tats.popitem(last=False)
        return 0.0
