"""What strategies share that place keys: names of members, and structures made of all of them.

A structure (a ring, a table) is made of every member that has weight, whether it accepts or not, so
that one that is full or drains for a while moves only its own keys, and only for so long. It is
made again when members or weights change, not with each report.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from balancers.hashing import hash_bytes
from balancers.interface import Member, View
from balancers.tally import Tally

REMEMBERED = 2
"""Structures that are kept: a member that flaps costs no new ones."""

T = TypeVar("T")
Weights = tuple[tuple[str, float], ...]
"""Names and weights of members, in the order of names."""


def name_of(member: Member) -> str:
    """Return what a member is hashed by: its id without the incarnation.

    So the keys of a node that begins a new life stay where they were.
    """
    return member.id.rpartition("/")[0] or member.id


def number_of(name: str, seed: bytes) -> int:
    """Return a member's name as 64 bits."""
    return hash_bytes(name.encode(), seed)


class Keyed(Generic[T]):
    """Eligible members by name, and the structure of the view's members.

    :param make: builds the structure.
    :ivar view: what the rest is about.
    :ivar eligible: name -> member, of those that accept, have weight and room.
    :ivar made: the structure.
    """

    def __init__(self, make: Callable[[Weights], T]) -> None:
        self._make = make
        self._remembered: OrderedDict[Weights, T] = OrderedDict()
        self.tally = Tally()
        self.view = self.tally.view
        self.eligible: Mapping[str, Member] = {}
        self.made = make(())
        self._room = self.tally.room

    def adopt(self, view: View) -> None:
        """Go by this view from now on."""
        self.tally.adopt(view)
        self.view = view
        weights = tuple(
            sorted((name_of(member), member.weight) for member in view.members if member.weight > 0)
        )
        made = self._remembered.get(weights)
        if made is None:
            made = self._remembered[weights] = self._make(weights)
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(weights)
        self.made = made
        self._find_eligible()

    def opened(self, member: str) -> None:
        """Count a connection more."""
        self.tally.opened(member)
        if self.tally.room is not self._room:
            self._find_eligible()

    def closed(self, member: str) -> None:
        """Count a connection less.

        :raises ValueError: none is open.
        """
        self.tally.closed(member)
        if self.tally.room is not self._room:
            self._find_eligible()

    def _find_eligible(self) -> None:
        self._room = self.tally.room
        self.eligible = {name_of(member): member for member in self._room}
