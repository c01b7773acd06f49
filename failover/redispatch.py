"""Redispatch: every orphan goes where the balancer would place a new client."""

from __future__ import annotations

import random
from collections.abc import Sequence

from attrs import frozen

from balancers.interface import Spec as BalancerSpec
from balancers.interface import View
from failover.interface import Move, Orphan, Policy
from failover.pacing import paced
from failover.placement import named_once, placed_by


class Redispatch:
    """Implements `interface.Failover` with the balancer's preference, paced per member.

    Every plan builds its own balancer, so the one that is in use is neither asked nor counted
    against. A session that is named twice is moved once. Herds as the balancer does.
    """

    def __init__(self, balancer: BalancerSpec) -> None:
        self._balancer = balancer

    def plan(
        self,
        view: View,
        orphans: Sequence[Orphan],
        policy: Policy,
        now: float,
        rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return the moves; arrivals at one member are spread evenly, each within its own slot."""
        named = named_once(orphans)
        balancer = self._balancer.build(rng, lambda: now)
        placed = placed_by(balancer, view, named, policy.turn_away, "redispatch")
        return paced(named, placed, policy, now, rng)


@frozen(kw_only=True)
class RedispatchSpec:
    """`strategy = "redispatch"`: no options."""

    def build(self, balancer: BalancerSpec) -> Redispatch:
        """Make the strategy."""
        return Redispatch(balancer)
