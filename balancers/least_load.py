"""Least load: the member with the lowest load for its weight and health score. O(n).

The score is what nodes report of themselves, as an agent-check tells HAProxy.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from attrs import frozen

from balancers.interface import Clock, Member, View
from balancers.tally import Tally


class LeastLoad:
    """Implements `interface.Strategy`; equally loaded members take turns.

    The load is the reported one and what was opened here since, over weight times score. Members
    whose score is 0 come last, by load over weight. Herds as `least_connections` does.
    """

    def __init__(self, rng: random.Random) -> None:
        self._tally = Tally()
        self._room: tuple[Member, ...] = ()
        # Those with a score, and those without.
        self._well: tuple[Member, ...] = ()
        self._unwell: tuple[Member, ...] = ()
        self._share: dict[str, float] = {}
        # Drawn, so that several gateways do not break ties alike.
        self._turn = rng.randrange(1 << 16)

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return members by their load; equal ones from the turn on."""
        self._adopt(view)
        load, share = self._tally.load, self._share
        ranked: list[Member] = []
        for members in (self._well, self._unwell):
            start = self._turn % len(members) if members else 0
            ranked += sorted(
                members[start:] + members[:start],
                key=lambda member: load[member.id] / share[member.id],
            )
        return ranked

    def pick(self, key: int, view: View) -> Member | None:
        """Return the member with the least load, and move the turn on."""
        tally = self._tally
        if view is not tally.view or tally.room is not self._room:
            self._adopt(view)
        members, load, share = self._well or self._unwell, tally.load, self._share
        if not members:
            return None
        start = self._turn % len(members)
        self._turn += 1
        best = members[start]
        least = load[best.id] / share[best.id]
        for member in members[start + 1 :] + members[:start]:
            ratio = load[member.id] / share[member.id]
            if ratio < least:
                best, least = member, ratio
        return best

    def opened(self, member: str) -> None:
        """Count a connection on top of the member's report."""
        self._tally.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._tally.closed(member)

    def _adopt(self, view: View) -> None:
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
        room = tally.room
        if room is not self._room:
            self._room = room
            self._well = tuple(member for member in room if member.score)
            self._unwell = tuple(member for member in room if not member.score)
            self._share = {member.id: member.weight * (member.score or 1.0) for member in room}


@frozen(kw_only=True)
class LeastLoadSpec:
    """`strategy = "least_load"`: no options."""

    def build(self, rng: random.Random, clock: Clock) -> LeastLoad:
        """Make the strategy."""
        return LeastLoad(rng)
