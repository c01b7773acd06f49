"""Maglev: a table of members that the key is an index of. O(1).

D. Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section
3.4; weights as Envoy has them: a member takes its turn in proportion. A change moves a few keys
more than it must.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from attrs import Attribute, frozen

from balancers.hashing import hash_bytes
from balancers.interface import Clock, Member, View
from balancers.keyed import Keyed, Weights
from balancers.options import option
from balancers.rendezvous import Numbers, numbers_of, ranked

LARGEST = 5_000_011


@frozen(eq=False)
class Table:
    """Whose each slot is, and what members are ranked by behind the owner."""

    slots: Sequence[str]
    numbers: Numbers


def table_of(weights: Weights, size: int, seed: bytes) -> Table:
    """Return the table of members with these weights.

    :param size: slots, a prime number.
    """
    return Table(_filled(weights, size, seed), numbers_of(weights, seed))


def _filled(weights: Weights, size: int, seed: bytes) -> list[str]:
    if not weights:
        return []
    heaviest = max(weight for _, weight in weights)
    turns = [weight / heaviest for _, weight in weights]
    owed = [0.0] * len(weights)
    places = []
    for name, _ in weights:
        offset = hash_bytes(name.encode(), seed) % size
        skip = hash_bytes(b"skip " + name.encode(), seed) % (size - 1) + 1
        places.append([offset, skip])
    owners = [-1] * size
    left = size
    while True:
        for number, turn in enumerate(turns):
            owed[number] += turn
            if owed[number] < 1.0:
                continue
            owed[number] -= 1.0
            place = places[number]
            at, skip = place
            while owners[at] >= 0:
                at += skip
                if at >= size:
                    at -= size
            owners[at] = number
            at += skip
            place[0] = at - size if at >= size else at
            left -= 1
            if not left:
                names = [name for name, _ in weights]
                return [names[owner] for owner in owners]


class Maglev:
    """Implements `interface.Strategy`; behind the slot's owner members rank as in `rendezvous`."""

    def __init__(self, size: int, seed: bytes) -> None:
        self._size = size
        self._keyed = Keyed(lambda weights: table_of(weights, size, seed))

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return the slot's owner, then the others by score."""
        keyed = self._keyed
        if view is not keyed.view:
            keyed.adopt(view)
        if not keyed.eligible:
            return []
        others = ranked(key, [*keyed.eligible.values()], keyed.made.numbers.by_name)
        owner = keyed.eligible.get(keyed.made.slots[key % self._size])
        if owner is None:
            return others
        return [owner, *(member for member in others if member is not owner)]

    def pick(self, key: int, view: View) -> Member | None:
        """Return the slot's owner."""
        keyed = self._keyed
        if view is not keyed.view:
            keyed.adopt(view)
        if not keyed.eligible:
            return None
        owner = keyed.eligible.get(keyed.made.slots[key % self._size])
        return self.rank(key, view)[0] if owner is None else owner

    def opened(self, member: str) -> None:
        """Count a connection; it matters when the member becomes full."""
        self._keyed.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._keyed.closed(member)


def _prime(_: object, attribute: Attribute[Any], value: int) -> None:
    is_prime = 2 < value <= LARGEST and all(value % each for each in range(2, int(value**0.5) + 1))
    if not is_prime:
        raise ValueError(
            f"{attribute.name}: expected a prime number from 3 to {LARGEST}, such as 5003 or "
            f"65537, found {value}"
        )


@frozen(kw_only=True)
class MaglevSpec:
    """`strategy = "maglev"`."""

    table_size: int = option(
        5003,
        "Slots of the table, a prime number; a hundred for each member make shares even to 1 %. "
        "Making 65537 takes a tenth of a second at each change of members.",
        check=_prime,
    )
    hash_seed: str = option("", "What members are hashed with; the same wherever they must agree.")

    def build(self, rng: random.Random, clock: Clock) -> Maglev:
        """Make the strategy."""
        return Maglev(self.table_size, self.hash_seed.encode())
