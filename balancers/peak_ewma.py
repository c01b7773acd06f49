"""Peak EWMA: of two members drawn at random, the one whose handshakes go faster for its load. O(1).

The idea of Finagle's load balancer of that name, whose documentation warns of it where requests
last: here only handshakes are timed, and connections count as the load.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp

from attrs import define, frozen

from balancers.interface import Clock, Member, View
from balancers.options import option, within
from balancers.tally import Tally


@define
class _Latency:
    """An average that jumps to peaks at once and forgets them slowly."""

    seconds: float
    at: float


class PeakEwma:
    """Implements `interface.Strategy` and `interface.Observer`.

    A member costs (connections + 1) times handshake time / weight. The time is that of the slowest
    handshake just now, and nears the average of all members as it gets old; members that nobody
    has seen yet count as average ones.
    """

    def __init__(
        self, rng: random.Random, clock: Clock, *, decay_time: float, failure_time: float
    ) -> None:
        self._tally = Tally()
        self._random = rng.random
        self._shuffle = rng.shuffle
        self._clock = clock
        self._decay_time = decay_time
        self._failure_time = failure_time
        self._latencies: dict[str, _Latency] = {}
        self._average = _Latency(0.0, clock())

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return the better of two draws, then the others by cost, equal ones in random order."""
        first = self.pick(key, view)
        if first is None:
            return ()
        now = self._clock()
        others = [member for member in self._tally.room if member is not first]
        self._shuffle(others)
        others.sort(key=lambda member: self._cost(member, now))
        return (first, *others)

    def pick(self, key: int, view: View) -> Member | None:
        """Return the better of two draws."""
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
            self._forget(view)
        room = tally.room
        size = len(room)
        if size < 2:
            return room[0] if room else None
        draw = self._random
        first = int(draw() * size)
        second = int(draw() * (size - 1))
        # Skips `first`, so that the two differ without drawing again.
        second += second >= first
        a, b = room[first], room[second]
        now = self._clock()
        return a if self._cost(a, now) <= self._cost(b, now) else b

    def opened(self, member: str) -> None:
        """Count a connection on top of the member's report."""
        self._tally.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._tally.closed(member)

    def observed(self, member: str, seconds: float | None) -> None:
        """Take the time of a handshake; a failed one counts as one that took `failure_time`."""
        if member not in self._tally.view.by_id:
            return
        took = self._failure_time if seconds is None else seconds
        now = self._clock()
        known = self._latencies.get(member)
        if known is None:
            self._latencies[member] = _Latency(took, now)
        else:
            known.seconds = max(took, self._faded(known, now, towards=took))
            known.at = now
        average = self._average
        if average.seconds:
            average.seconds = self._faded(average, now, towards=took)
            average.at = now
        else:
            self._average = _Latency(took, now)

    def described(self, view: View) -> dict[str, dict[str, float]]:
        """Return for each member the handshake time it is judged by, in seconds."""
        now = self._clock()
        return {name: {"handshake": self._latency(name, now)} for name in view.by_id}

    def _faded(self, latency: _Latency, now: float, *, towards: float) -> float:
        kept = exp((latency.at - now) / self._decay_time)
        return latency.seconds * kept + towards * (1 - kept)

    def _latency(self, name: str, now: float) -> float:
        known, average = self._latencies.get(name), self._average.seconds
        return average if known is None else self._faded(known, now, towards=average)

    def _cost(self, member: Member, now: float) -> float:
        # Before anything is observed every member takes the same time.
        latency = self._latency(member.id, now) or 1.0
        return latency * (self._tally.load[member.id] + 1) / member.weight

    def _forget(self, view: View) -> None:
        gone = self._latencies.keys() - view.by_id.keys()
        for name in gone:
            del self._latencies[name]


@frozen(kw_only=True)
class PeakEwmaSpec:
    """`strategy = "peak_ewma"`."""

    decay_time: float = option(
        10.0, "How fast a slow handshake is forgotten: 63 % of it in this time.",
        check=within(0, above=True), unit="s",
    )
    failure_time: float = option(
        1.0, "A handshake that failed or was refused counts as one that took this long.",
        check=within(0), unit="s",
    )

    def build(self, rng: random.Random, clock: Clock) -> PeakEwma:
        """Make the strategy."""
        return PeakEwma(
            rng, clock, decay_time=self.decay_time, failure_time=self.failure_time
        )
