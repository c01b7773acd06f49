"""Round robin: members in turn, whatever their load or weight. O(1)."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence

from attrs import frozen

from balancers.interface import Clock, Member, View
from balancers.tally import Tally


class RoundRobin:
    """Implements `interface.Strategy`; with the same members, picks differ by one at most.

    The first turn is drawn, so that several gateways do not all begin with the same member. When
    members come or go, or are full, the turn goes on behind the member that had the last one.
    """

    def __init__(self, rng: random.Random) -> None:
        self._tally = Tally()
        self._room: tuple[Member, ...] = ()
        self._turn = 0
        self._last = ""
        self._rng = rng

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return who has the next turn, and who would follow."""
        room = self._adopted(view)
        return room[self._turn :] + room[: self._turn]

    def pick(self, key: int, view: View) -> Member | None:
        """Return whose turn it is, and end it."""
        tally = self._tally
        room = self._room
        if view is not tally.view or room is not tally.room:
            room = self._adopted(view)
        if not room:
            return None
        turn = self._turn
        member = room[turn]
        self._last = member.id
        turn += 1
        self._turn = turn if turn < len(room) else 0
        return member

    def opened(self, member: str) -> None:
        """Count a connection; it matters when the member becomes full."""
        self._tally.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._tally.closed(member)

    def _adopted(self, view: View) -> tuple[Member, ...]:
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
        room = tally.room
        if room is not self._room:
            self._room = room
            ids = [member.id for member in room]
            if self._last:
                self._turn = bisect_right(ids, self._last) % max(1, len(ids))
            else:
                self._turn = self._rng.randrange(len(ids)) if ids else 0
        return room


@frozen(kw_only=True)
class RoundRobinSpec:
    """`strategy = "round_robin"`: no options."""

    def build(self, rng: random.Random, clock: Clock) -> RoundRobin:
        """Make the strategy."""
        return RoundRobin(rng)
