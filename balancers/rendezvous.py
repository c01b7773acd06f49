"""Rendezvous: the member with the highest score of a hash of key and member. O(n).

D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998; weights by
C. Schindelhauer, G. Schomaker, "Weighted Distributed Hash Tables", SPAA 2005. What changes moves
the fewest keys possible, and those of a member that leaves are spread over all others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import log

from attrs import frozen

from balancers.hashing import mixed
from balancers.interface import Clock, Member, View
from balancers.keyed import Keyed, Weights, name_of, number_of
from balancers.options import option

_SCALE = 2.0**-64


@frozen(eq=False)
class Numbers:
    """Members as numbers.

    :param are_equal: all weigh the same, so that their hashes alone decide.
    """

    by_name: Mapping[str, int]
    are_equal: bool


def numbers_of(weights: Weights, seed: bytes) -> Numbers:
    """Return the members' numbers."""
    return Numbers(
        {name: number_of(name, seed) for name, _ in weights},
        len({weight for _, weight in weights}) < 2,
    )


def score(key: int, number: int, weight: float) -> float:
    """Return how much a key wants a member: -w / ln u, u uniform in (0, 1)."""
    return -weight / log((mixed(key, number) + 0.5) * _SCALE)


def ranked(key: int, members: Sequence[Member], numbers: Mapping[str, int]) -> list[Member]:
    """Return members by score, the highest first; ids break ties."""
    scored = [
        (-score(key, numbers[name_of(member)], member.weight), member.id, member)
        for member in members
    ]
    scored.sort(key=lambda each: each[:2])
    return [member for _, _, member in scored]


class Rendezvous:
    """Implements `interface.Strategy`."""

    def __init__(self, seed: bytes) -> None:
        self._keyed = Keyed(lambda weights: numbers_of(weights, seed))

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return members by score."""
        keyed = self._keyed
        if view is not keyed.view:
            keyed.adopt(view)
        return ranked(key, [*keyed.eligible.values()], keyed.made.by_name)

    def pick(self, key: int, view: View) -> Member | None:
        """Return the member with the highest score."""
        keyed = self._keyed
        if view is not keyed.view:
            keyed.adopt(view)
        numbers = keyed.made.by_name
        best, highest = None, -1.0
        if keyed.made.are_equal:
            for name, member in keyed.eligible.items():
                # The score grows with the hash, so the logarithm can be left out.
                value: float = mixed(key, numbers[name])
                if value > highest:
                    best, highest = member, value
            return best
        for name, member in keyed.eligible.items():
            value = score(key, numbers[name], member.weight)
            if value > highest:
                best, highest = member, value
        return best

    def opened(self, member: str) -> None:
        """Count a connection; it matters when the member becomes full."""
        self._keyed.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._keyed.closed(member)


@frozen(kw_only=True)
class RendezvousSpec:
    """`strategy = "rendezvous"`."""

    hash_seed: str = option("", "What members are hashed with; the same wherever they must agree.")

    def build(self, rng: random.Random, clock: Clock) -> Rendezvous:
        """Make the strategy."""
        return Rendezvous(self.hash_seed.encode())
