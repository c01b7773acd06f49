"""Replica: every session has a member of its own that holds a copy, and goes there.

Primary and backup as in Redis Cluster, but by session: the load of a lost member spreads over all
others, where a backup for each member would double the load of one.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from balancers.interface import Spec as BalancerSpec
from balancers.interface import View
from balancers.options import option
from failover.interface import Move, Orphan, Policy
from failover.pacing import paced
from failover.placement import (
    Placement,
    after,
    named_once,
    placed_by,
    rooms,
    those_that_stay,
    unplaced,
)
from failover.ranking import ranking_of


class Replica:
    """Implements `interface.Failover`; where orphans go does not depend on chance or order.

    :param ranking: the hash strategy whose order counts.
    """

    def __init__(self, ranking: BalancerSpec) -> None:
        self._ranking = ranking

    def standbys(self, view: View, sessions: Iterable[Orphan]) -> Mapping[str, str]:
        """Return session -> id of the member that shall hold a copy of its state.

        That is where `plan` sends it when its home is gone, while the copy's member is eligible.
        Sessions for which nobody is are left out.
        """
        ranking = self._ranking.build(random.Random(0), lambda: 0.0)
        staying: dict[str, list[Orphan]] = {}
        for session in sessions:
            staying.setdefault(session.home, []).append(session)
        named = {}
        for home, residents in staying.items():
            others = view.without(home)
            for session in residents:
                member = ranking.pick(session.key, others)
                if member is not None:
                    named[session.session] = member.id
        return named

    def plan(
        self,
        view: View,
        orphans: Sequence[Orphan],
        policy: Policy,
        now: float,
        rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return the moves: to the member with the copy, else to the next in the key's order."""
        named = named_once(orphans)
        room = rooms(view)
        placed = []
        # Who gets no room at all must not take a copy's place before somebody who shall get it.
        for orphan in those_that_stay(named, policy.turn_away)[: sum(room.values())]:
            if orphan.replica != orphan.home and room.get(orphan.replica, 0) > 0:
                room[orphan.replica] -= 1
                placed.append(Placement(orphan, orphan.replica, "replica"))
        rest, left = unplaced(named, placed), after(view, placed)
        ranking = self._ranking.build(random.Random(0), lambda: 0.0)
        placed += placed_by(ranking, left, rest, policy.turn_away, "successor")
        return paced(named, placed, policy, now, rng)


@frozen(kw_only=True)
class ReplicaSpec:
    """`strategy = "replica"`."""

    hash_seed: str = option(
        "", "What members are hashed with when the balancer does not go by keys; the same "
        "wherever they must agree.",
    )

    def build(self, balancer: BalancerSpec) -> Replica:
        """Make the strategy."""
        return Replica(ranking_of(balancer, self.hash_seed))
