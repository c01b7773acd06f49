"""Successor: every orphan goes to the next member in its key's order.

The preference list of Dynamo (SOSP 2007), bounded: whoever knows the view knows the successor, so
routers and nodes agree without talking.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from attrs import frozen

from balancers.interface import Member, View
from balancers.interface import Spec as BalancerSpec
from balancers.options import option, within
from failover.interface import Move, Orphan, Policy
from failover.pacing import paced
from failover.placement import herd_bounds, named_once, placed_by
from failover.ranking import ranking_of


class Successor:
    """Implements `interface.Failover`; where orphans go does not depend on chance or order.

    :param ranking: the hash strategy whose order counts.
    :param factor: how much above its share of the orphans a member gets; the rest go to the next
        in their own order.
    """

    def __init__(self, ranking: BalancerSpec, factor: float) -> None:
        self._ranking = ranking
        self._factor = factor

    def plan(
        self,
        view: View,
        orphans: Sequence[Orphan],
        policy: Policy,
        now: float,
        rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return the moves; only their times depend on chance."""
        named = named_once(orphans)
        ranking = self._ranking.build(random.Random(0), lambda: 0.0)
        bounds = herd_bounds(view, named, self._factor)
        arrived: Counter[str] = Counter()

        def choose(orphan: Orphan, others: View) -> Member | None:
            member = ranking.pick(orphan.key, others)
            if member is not None and arrived[member.id] >= bounds[member.id]:
                ranked = ranking.rank(orphan.key, others)
                member = next((m for m in ranked if arrived[m.id] < bounds[m.id]), member)
            if member is not None:
                arrived[member.id] += 1
            return member

        placed = placed_by(ranking, view, named, policy.turn_away, "successor", choose)
        return paced(named, placed, policy, now, rng)


@frozen(kw_only=True)
class SuccessorSpec:
    """`strategy = "successor"`."""

    herd_factor: float = option(
        1.5, "How much above its share of the orphans a member gets; 1.5 is half more.",
        check=within(1.0, 1000.0),
    )
    hash_seed: str = option(
        "", "What members are hashed with when the balancer does not go by keys; the same "
        "wherever they must agree.",
    )

    def build(self, balancer: BalancerSpec) -> Successor:
        """Make the strategy."""
        return Successor(ranking_of(balancer, self.hash_seed), self.herd_factor)
