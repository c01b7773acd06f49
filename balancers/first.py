"""First: fills one member after the other, so that the others can be switched off. O(1).

As HAProxy's `first`, "made for" fleets that shrink: the last members become empty by themselves.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from attrs import frozen

from balancers.interface import Clock, Member, View
from balancers.options import one_of, option
from balancers.tally import Tally


class First:
    """Implements `interface.Strategy`; deliberately unequal, whatever weights and loads.

    :param by_age: goes by how long this instance has known members, ids break ties; otherwise by
        ids alone. Whoever is out of sight for one view is forgotten.
    """

    def __init__(self, *, by_age: bool) -> None:
        self._tally = Tally()
        self._by_age = by_age
        self._known: dict[str, int] = {}
        self._seen = 0
        self._room: tuple[Member, ...] = ()
        self._order: Sequence[Member] = ()

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return members in the order in which they are filled."""
        return self._adopted(view)

    def pick(self, key: int, view: View) -> Member | None:
        """Return the first member with room."""
        order = self._adopted(view)
        return order[0] if order else None

    def opened(self, member: str) -> None:
        """Count a connection; it matters when the member becomes full."""
        self._tally.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._tally.closed(member)

    def _adopted(self, view: View) -> Sequence[Member]:
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
            if self._by_age:
                self._seen += 1
                self._known = {name: self._known.get(name, self._seen) for name in view.by_id}
        if tally.room is not self._room:
            self._room = self._order = tally.room
            if self._by_age:
                # Stable, and the room is in the order of ids.
                self._order = sorted(tally.room, key=lambda member: self._known[member.id])
        return self._order


@frozen(kw_only=True)
class FirstSpec:
    """`strategy = "first"`."""

    order: Literal["id", "oldest"] = option(
        "id",
        'Who is filled first: the lowest "id", or the "oldest", which this balancer has known '
        "longest.",
        check=one_of("id", "oldest"),
    )

    def build(self, rng: random.Random, clock: Clock) -> First:
        """Make the strategy."""
        return First(by_age=self.order == "oldest")
