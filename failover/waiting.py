"""Waiting: orphans wait for their home to return, then they are redispatched.

As static membership in Kafka (KIP-345), for restarts that are planned: who does not return costs
its clients the wait on top.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from attrs import evolve, frozen

from balancers.interface import Spec as BalancerSpec
from balancers.interface import View
from balancers.options import option, within
from failover.interface import Move, Orphan, Policy
from failover.pacing import paced
from failover.placement import (
    Placement,
    after,
    name_of_id,
    named_once,
    placed_by,
    rooms,
    those_that_stay,
    unplaced,
)


class WaitThenRedispatch:
    """Implements `interface.Failover`: to the home's next incarnation at once, others later.

    Plan again with each change of the view; the wait is counted from when the home was lost.

    :param grace: seconds that a home has for its return.
    """

    def __init__(self, balancer: BalancerSpec, grace: float) -> None:
        self._balancer = balancer
        self._grace = grace

    def plan(
        self,
        view: View,
        orphans: Sequence[Orphan],
        policy: Policy,
        now: float,
        rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return the moves; `policy.within` cuts the wait before it exceeds a rate."""
        named = named_once(orphans)
        back = _returned(view, those_that_stay(named, policy.turn_away))
        balancer = self._balancer.build(rng, lambda: now)
        rest = unplaced(named, back)
        placed = placed_by(balancer, after(view, back), rest, policy.turn_away, "redispatch")
        waiting = [evolve(each, wait=self._left(each.orphan, now)) for each in placed]
        return paced(named, [*back, *waiting], policy, now, rng)

    def _left(self, orphan: Orphan, now: float) -> float:
        lost = now if orphan.lost is None else orphan.lost
        return max(0.0, lost + self._grace - now)


def _returned(view: View, orphans: Sequence[Orphan]) -> list[Placement]:
    """Place those whose home is back under another incarnation."""
    room = rooms(view)
    incarnations = {name_of_id(member): member for member in room}
    placed = []
    # Who gets no room at all must not take it from somebody whose home did not return.
    for orphan in orphans[: sum(room.values())]:
        member = incarnations.get(name_of_id(orphan.home), orphan.home)
        if member != orphan.home and room[member] > 0:
            room[member] -= 1
            placed.append(Placement(orphan, member, "returned"))
    return placed


@frozen(kw_only=True)
class WaitThenRedispatchSpec:
    """`strategy = "wait_then_redispatch"`."""

    grace: float = option(
        10.0, "How long a lost home may take to return before its sessions go elsewhere.",
        check=within(0.0), unit="s",
    )

    def build(self, balancer: BalancerSpec) -> WaitThenRedispatch:
        """Make the strategy."""
        return WaitThenRedispatch(balancer, self.grace)
