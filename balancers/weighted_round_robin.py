"""Weighted round robin: members in turn, each as often as its weight says. O(log n).

Turns are evenly spaced ("smooth"), not one member's after the other's: each member is due at
(phase + k) / weight for k = 0, 1, ..., and the earliest is next (stride scheduling: C. A.
Waldspurger and W. E. Weihl, "Stride Scheduling", 1995).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from heapq import heapify, heapreplace

from attrs import frozen

from balancers.interface import Clock, Member, View
from balancers.tally import Tally

_GRID = 1 << 16
"""Phases are multiples of its inverse: sums with whole numbers are exact, so equal dues are equal
floats and the sequence repeats exactly."""


class WeightedRoundRobin:
    """Implements `interface.Strategy`; loads do not matter.

    With whole weights of sum W and the same members, any W picks in a row hold each member exactly
    as often as its weight; with others, as often as can be. Phases are drawn, so that several
    gateways do not send their clients to the same member at the same time; they survive a change
    of weights and of other members, so that nobody gets two turns for it.
    """

    def __init__(self, rng: random.Random) -> None:
        self._tally = Tally()
        self._room: tuple[Member, ...] = ()
        self._weights: list[tuple[str, float]] = []
        # (when due, position in the room, turns taken, phase)
        self._due: list[tuple[float, int, int, float]] = []
        self._now = 0.0
        self._rng = rng

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return members by when they are due. O(n log n)."""
        room = self._adopted(view)
        return [room[position] for _, position, _, _ in sorted(self._due)]

    def pick(self, key: int, view: View) -> Member | None:
        """Return whose turn it is, and end it."""
        tally = self._tally
        room = self._room
        if view is not tally.view or room is not tally.room:
            room = self._adopted(view)
        if not room:
            return None
        due = self._due
        self._now, position, turns, phase = due[0]
        member = room[position]
        turns += 1
        heapreplace(due, ((phase + turns) / member.weight, position, turns, phase))
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
            weights = [(member.id, member.weight) for member in room]
            if weights != self._weights:
                self._reschedule(weights)
            self._room = room
        return room

    def _reschedule(self, weights: list[tuple[str, float]]) -> None:
        # What is left of a turn, 0 to 1, stays when a weight changes. Phases are below 1: then the
        # first window of W picks is like every later one.
        left = {
            self._room[position].id: (due - self._now) * self._room[position].weight
            for due, position, _, _ in self._due
        }
        self._due = []
        for position, (name, weight) in enumerate(weights):
            drawn = self._rng.randrange(_GRID) / _GRID
            phase = min(_GRID - 1, int(min(1.0, left.get(name, drawn)) * _GRID)) / _GRID
            self._due.append((phase / weight, position, 0, phase))
        heapify(self._due)
        self._weights = weights
        self._now = 0.0


@frozen(kw_only=True)
class WeightedRoundRobinSpec:
    """`strategy = "weighted_round_robin"`: no options."""

    def build(self, rng: random.Random, clock: Clock) -> WeightedRoundRobin:
        """Make the strategy."""
        return WeightedRoundRobin(rng)
