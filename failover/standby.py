"""Standby: spare members take the orphans first, then the others (N + 1).

As HAProxy's `backup` servers, but for orphans, and with a limit: one spare that must take all of a
lost member is only as fast as its rate.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

from attrs import evolve, frozen

from balancers.interface import Member, View
from balancers.interface import Spec as BalancerSpec
from balancers.options import option
from failover.interface import Move, Orphan, Policy
from failover.pacing import paced
from failover.placement import after, named_once, placed_by, those_that_stay, unplaced
from failover.spread import levelled


class Standby:
    """Implements `interface.Failover`: spares are filled evenly, the rest is redispatched.

    A spare takes no more than its rate allows within `policy.within`, while others have room.

    :param zone: where spares are; empty: members without connections are.
    """

    def __init__(self, balancer: BalancerSpec, zone: str) -> None:
        self._balancer = balancer
        self._zone = zone

    def plan(
        self,
        view: View,
        orphans: Sequence[Orphan],
        policy: Policy,
        now: float,
        rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return the moves."""
        named = named_once(orphans)
        spares = tuple(member for member in view.members if self._is_spare(member))
        in_time = policy.rate * policy.within
        limited = tuple(
            spare if in_time == inf else evolve(
                spare, capacity=min(spare.capacity, spare.connections + max(1, int(in_time)))
            )
            for spare in spares
        )
        queue = those_that_stay(named, policy.turn_away)
        placed = levelled(queue, View(view.version, limited), {}, rng, "spare")
        others = tuple(member for member in view.members if not self._is_spare(member))
        for members in (others, view.members):
            rest = unplaced(named, placed)
            if rest:
                left = after(View(view.version, members), placed)
                balancer = self._balancer.build(rng, lambda: now)
                placed += placed_by(balancer, left, rest, policy.turn_away, "redispatch")
        return paced(named, placed, policy, now, rng)

    def _is_spare(self, member: Member) -> bool:
        return member.zone == self._zone if self._zone else member.connections == 0


@frozen(kw_only=True)
class StandbySpec:
    """`strategy = "standby"`."""

    zone: str = option("", "Zone of the spares; empty: members without connections are spares.")

    def build(self, balancer: BalancerSpec) -> Standby:
        """Make the strategy."""
        return Standby(balancer, self.zone)
