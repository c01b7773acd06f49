"""Spread: every orphan goes to the member with the least load for its weight. O(n log members)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from attrs import frozen

from balancers.interface import Spec as BalancerSpec
from balancers.interface import View
from balancers.options import option, within
from failover.interface import Move, Orphan, Policy
from failover.pacing import paced
from failover.placement import Placement, herd_bounds, named_once, those_that_stay

_Entry = tuple[float, float, str]
"""Load per weight, a tie-breaker, and the member's id."""


def levelled(
    orphans: Sequence[Orphan],
    view: View,
    bounds: Mapping[str, int],
    rng: random.Random,
    reason: str,
) -> list[Placement]:
    """Place the orphans in their order where load per weight is least; chance decides ties.

    Who took as many as its bound gets more only when nobody else has room.
    """
    below: list[_Entry] = [
        (member.connections / member.weight, rng.random(), member.id)
        for member in view.members
        if member.is_eligible
    ]
    heapify(below)
    beyond: list[_Entry] = []
    arrived: Counter[str] = Counter()
    placed = []
    for orphan in orphans:
        entry = _least(below, orphan.home) or _least(beyond, orphan.home)
        if entry is None:
            continue
        _, tie, name = entry
        member = view.by_id[name]
        arrived[name] += 1
        placed.append(Placement(orphan, name, reason))
        load = member.connections + arrived[name]
        if load < member.capacity:
            rest = below if arrived[name] < bounds.get(name, len(orphans) + 1) else beyond
            heappush(rest, (load / member.weight, tie, name))
    return placed


def _least(heap: list[_Entry], home: str) -> _Entry | None:
    """Remove and return the least loaded member that is not the home."""
    if not heap:
        return None
    first = heappop(heap)
    if first[2] != home:
        return first
    second = heappop(heap) if heap else None
    heappush(heap, first)
    return second


class Spread:
    """Implements `interface.Failover`; needs fresh reports, but not the balancer.

    The bounded loads of arXiv 1608.01350 hold after each move within the herd's bound: the least
    loaded for its weight is never above its share.

    :param factor: how much above its share of the orphans a member gets, however empty it is.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor

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
        queue = those_that_stay(named, policy.turn_away)
        bounds = herd_bounds(view, named, self._factor)
        return paced(named, levelled(queue, view, bounds, rng, "spread"), policy, now, rng)


@frozen(kw_only=True)
class SpreadSpec:
    """`strategy = "spread"`."""

    herd_factor: float = option(
        1.5, "How much above its share of the orphans a member gets, however empty it is.",
        check=within(1.0, 1000.0),
    )

    def build(self, balancer: BalancerSpec) -> Spread:
        """Make the strategy."""
        return Spread(self.herd_factor)
