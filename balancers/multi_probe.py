"""Multi-probe: of several hashes of the key, the one that is nearest to a member. O(k log n).

B. Appleton, M. O'Reilly, "Multi-probe consistent hashing", arXiv 1505.00062: with k probes the
fullest member has at most 1 + 1/(k - 1) of the average, without the ring's many points.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from math import inf

from attrs import frozen

from balancers.hashing import hash_bytes, mixed
from balancers.interface import Clock, Member, View
from balancers.keyed import Keyed
from balancers.options import option, within
from balancers.ring_hash import MOST_POINTS, ring_of

_CIRCLE = 1 << 64

class MultiProbe:
    """Implements `interface.Strategy`; a member that is not eligible is passed over."""

    def __init__(self, probes: int, vnodes: int, seed: bytes) -> None:
        self._salts = [hash_bytes(b"probe %d" % number, seed) for number in range(probes)]
        self._keyed = Keyed(lambda weights: ring_of(weights, vnodes, seed))

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return members by the distance from any of the key's hashes, clockwise. O(k n)."""
        keyed = self._keyed
        if view is not keyed.view:
            keyed.adopt(view)
        nearest: dict[str, float] = dict.fromkeys(keyed.eligible, inf)
        made = keyed.made
        for salt in self._salts:
            probe = mixed(key, salt)
            for point, owner in zip(made.points, made.owners, strict=True):
                distance = (point - probe) % _CIRCLE
                if distance < nearest.get(owner, -1):
                    nearest[owner] = distance
        ordered = sorted(nearest, key=lambda name: (nearest[name], name))
        return [keyed.eligible[name] for name in ordered]

    def pick(self, key: int, view: View) -> Member | None:
        """Return the owner of the point nearest to any of the key's hashes, clockwise."""
        keyed = self._keyed
        if view is not keyed.view:
            keyed.adopt(view)
        if not keyed.eligible:
            return None
        points, owners = keyed.made.points, keyed.made.owners
        shortest, best = _CIRCLE, 0
        for salt in self._salts:
            probe = mixed(key, salt)
            at = bisect_left(points, probe)
            if at == len(points):
                at = 0
            distance = (points[at] - probe) % _CIRCLE
            if distance < shortest:
                shortest, best = distance, at
        member = keyed.eligible.get(owners[best])
        return self.rank(key, view)[0] if member is None else member

    def opened(self, member: str) -> None:
        """Count a connection; it matters when the member becomes full."""
        self._keyed.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._keyed.closed(member)


@frozen(kw_only=True)
class MultiProbeSpec:
    """`strategy = "multi_probe"`."""

    probes: int = option(
        21, "Hashes of a key; k of them keep the fullest member within 1/(k-1) of the average.",
        check=within(1, 1000),
    )
    vnodes: int = option(
        10, "Points of a member of weight 1; weights count as precisely as points divide them.",
        check=within(1, MOST_POINTS),
    )
    hash_seed: str = option("", "What members are hashed with; the same wherever they must agree.")

    def build(self, rng: random.Random, clock: Clock) -> MultiProbe:
        """Make the strategy."""
        return MultiProbe(self.probes, self.vnodes, self.hash_seed.encode())
