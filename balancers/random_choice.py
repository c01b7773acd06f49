"""Random: a member drawn with the probability of its weight, whatever its load. O(log n)."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from attrs import frozen

from balancers.interface import Clock, Member, View
from balancers.tally import Tally


class RandomChoice:
    """Implements `interface.Strategy`; of reports it needs only who has room."""

    def __init__(self, rng: random.Random) -> None:
        self._tally = Tally()
        self._random = rng.random
        self._room: tuple[Member, ...] = ()
        self._bounds: list[float] = []

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return members drawn one after the other without putting back. O(n²)."""
        left = list(self._adopted(view))
        ranked = []
        while left:
            bounds = list(accumulate(member.weight for member in left))
            ranked.append(left.pop(self._draw(bounds)))
        return ranked

    def pick(self, key: int, view: View) -> Member | None:
        """Return a member drawn by weight."""
        tally = self._tally
        room = self._room
        if view is not tally.view or room is not tally.room:
            room = self._adopted(view)
        return room[self._draw(self._bounds)] if room else None

    def opened(self, member: str) -> None:
        """Count a connection; it matters when the member becomes full."""
        self._tally.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._tally.closed(member)

    def _draw(self, bounds: list[float]) -> int:
        # The product may round up to the last bound, which belongs to the last member.
        return bisect_right(bounds, self._random() * bounds[-1], 0, len(bounds) - 1)

    def _adopted(self, view: View) -> tuple[Member, ...]:
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
        if tally.room is not self._room:
            self._room = tally.room
            self._bounds = list(accumulate(member.weight for member in self._room))
        return self._room


@frozen(kw_only=True)
class RandomSpec:
    """`strategy = "random"`: no options."""

    def build(self, rng: random.Random, clock: Clock) -> RandomChoice:
        """Make the strategy."""
        return RandomChoice(rng)
