"""Ring hash: the next point of a member clockwise of the key (consistent hashing). O(log n).

D. Karger et al., "Consistent Hashing and Random Trees", STOC 1997. A member that leaves moves its
own keys only, to the members behind its points; with few points those are few.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from attrs import frozen

from balancers.hashing import hash_bytes
from balancers.interface import Clock, Member, View
from balancers.keyed import Keyed, Weights
from balancers.options import option, within

MOST_POINTS = 10_000
"""Points of one member at most."""


@frozen(eq=False)
class Ring:
    """Points in order, and whose they are."""

    points: Sequence[int]
    owners: Sequence[str]

    def clockwise(self, key: int) -> Iterator[str]:
        """Yield the owners of all points from the key on, once around."""
        owners = self.owners
        start = bisect_left(self.points, key)
        for at in range(start, start + len(owners)):
            yield owners[at % len(owners)]


def ring_of(weights: Weights, vnodes: int, seed: bytes) -> Ring:
    """Return the ring of members with these weights.

    Points depend on nobody else's weight, so that a weight that changes moves its own keys only.

    :param vnodes: points of a member of weight 1.
    """
    placed = sorted(
        (hash_bytes(f"{name}-{number}".encode(), seed), name)
        for name, weight in weights
        for number in range(min(MOST_POINTS, max(1, round(vnodes * weight))))
    )
    return Ring([point for point, _ in placed], [name for _, name in placed])


class RingHash:
    """Implements `interface.Strategy`; a member that is not eligible is passed over."""

    def __init__(self, vnodes: int, seed: bytes) -> None:
        self._keyed = Keyed(lambda weights: ring_of(weights, vnodes, seed))

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return members in the order of their first points clockwise."""
        keyed = self._keyed
        if view is not keyed.view:
            keyed.adopt(view)
        ranked: dict[str, Member] = {}
        for name in keyed.made.clockwise(key):
            if name not in ranked and (member := keyed.eligible.get(name)) is not None:
                ranked[name] = member
                if len(ranked) == len(keyed.eligible):
                    break
        return list(ranked.values())

    def pick(self, key: int, view: View) -> Member | None:
        """Return the owner of the next point."""
        keyed = self._keyed
        if view is not keyed.view:
            keyed.adopt(view)
        ring = keyed.made
        eligible = keyed.eligible
        if not eligible:
            return None
        at = bisect_left(ring.points, key)
        owners = ring.owners
        member = eligible.get(owners[at if at < len(owners) else 0])
        if member is not None:
            return member
        return next(eligible[name] for name in ring.clockwise(key) if name in eligible)

    def opened(self, member: str) -> None:
        """Count a connection; it matters when the member becomes full."""
        self._keyed.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._keyed.closed(member)


@frozen(kw_only=True)
class RingHashSpec:
    """`strategy = "ring_hash"`."""

    vnodes: int = option(
        160,
        "Points of a member of weight 1; more are more even and take more memory. No member has "
        "more than 10,000.",
        check=within(1, MOST_POINTS),
    )
    hash_seed: str = option("", "What members are hashed with; the same wherever they must agree.")

    def build(self, rng: random.Random, clock: Clock) -> RingHash:
        """Make the strategy."""
        return RingHash(self.vnodes, self.hash_seed.encode())
