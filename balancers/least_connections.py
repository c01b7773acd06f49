"""Least connections: the member with the lowest load for its weight. O(n)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from attrs import frozen

from balancers.interface import Clock, Member, View
from balancers.tally import Tally


class LeastConnections:
    """Implements `interface.Strategy`; equally loaded members take turns.

    Exact where one instance sees every connection. Several instances with reports that are
    seconds old herd: prefer `p2c` there.
    """

    def __init__(self, rng: random.Random) -> None:
        self._tally = Tally()
        # Drawn, so that several gateways do not break ties alike.
        self._turn = rng.randrange(1 << 16)

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return members by load over weight; equal ones from the turn on."""
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
        room, load = tally.room, tally.load
        start = self._turn % len(room) if room else 0
        return sorted(
            room[start:] + room[:start], key=lambda member: load[member.id] / member.weight
        )

    def pick(self, key: int, view: View) -> Member | None:
        """Return the least loaded member, and move the turn on."""
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
        room, load = tally.room, tally.load
        if not room:
            return None
        start = self._turn % len(room)
        self._turn += 1
        best, least = room[start], load[room[start].id] / room[start].weight
        for member in room[start + 1 :] + room[:start]:
            ratio = load[member.id] / member.weight
            if ratio < least:
                best, least = member, ratio
        return best

    def opened(self, member: str) -> None:
        """Count a connection on top of the member's report."""
        self._tally.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._tally.closed(member)


@frozen(kw_only=True)
class LeastConnectionsSpec:
    """`strategy = "least_connections"`: no options."""

    def build(self, rng: random.Random, clock: Clock) -> LeastConnections:
        """Make the strategy."""
        return LeastConnections(rng)
