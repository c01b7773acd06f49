"""Power of two choices: of two members drawn at random, the one with the lower load. O(1).

Nearly as even as the least loaded of all, and it does not herd when reports are old (M.
Mitzenmacher, "How Useful Is Old Information?", 2000).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from attrs import frozen

from balancers.interface import Clock, Member, View
from balancers.tally import Tally


class PowerOfTwoChoices:
    """Implements `interface.Strategy`; the two are different members, drawn alike.

    Loads are compared relative to weights. With two members or more, one that is more loaded than
    every other is never picked.
    """

    def __init__(self, rng: random.Random) -> None:
        self._tally = Tally()
        self._random = rng.random
        self._shuffle = rng.shuffle

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return the better of two draws, then the others by load, equal ones in random order."""
        first = self.pick(key, view)
        if first is None:
            return ()
        load = self._tally.load
        others = [member for member in self._tally.room if member is not first]
        self._shuffle(others)
        others.sort(key=lambda member: load[member.id] / member.weight)
        return (first, *others)

    def pick(self, key: int, view: View) -> Member | None:
        """Return the better of two draws."""
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
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
        load = tally.load
        return a if load[a.id] * b.weight <= load[b.id] * a.weight else b

    def opened(self, member: str) -> None:
        """Count a connection on top of the member's report."""
        self._tally.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._tally.closed(member)


@frozen(kw_only=True)
class P2CSpec:
    """`strategy = "p2c"`: no options."""

    def build(self, rng: random.Random, clock: Clock) -> PowerOfTwoChoices:
        """Make the strategy."""
        return PowerOfTwoChoices(rng)
