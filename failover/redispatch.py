"""Redispatch: every orphan goes where the balancer would place a new client."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen

from balancers.interface import Spec as BalancerSpec
from balancers.interface import View
from failover.interface import Move, Orphan, Policy


class Redispatch:
    """Implements `interface.Failover` with the balancer's preference, paced per member.

    Every plan builds its own balancer, so the one that is in use is neither asked nor counted
    against. A session that is named twice is moved once.
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
        named: dict[str, Orphan] = {}
        for orphan in orphans:
            named.setdefault(orphan.session, orphan)
        targets = self._place(view, named.values(), now, rng)
        arrivals = {
            target: _arrivals(count, policy, now, rng)
            for target, count in sorted(Counter(targets.values()).items())
        }
        return tuple(
            Move(session, target, next(arrivals[target]))
            for session in named
            if (target := targets.get(session)) is not None
        )

    def _place(
        self, view: View, orphans: Iterable[Orphan], now: float, rng: random.Random
    ) -> dict[str, str]:
        by_home: dict[str, list[Orphan]] = {}
        for orphan in orphans:
            by_home.setdefault(orphan.home, []).append(orphan)
        balancer = self._balancer.build(rng, lambda: now)
        targets: dict[str, str] = {}
        # One home after the other, because the balancer prepares itself for every other view.
        for home, leaving in by_home.items():
            others = view.without(home)
            for orphan in leaving:
                member = balancer.pick(orphan.key, others)
                if member is not None:
                    balancer.opened(member.id)
                    targets[orphan.session] = member.id
        return targets


def _arrivals(count: int, policy: Policy, now: float, rng: random.Random) -> Iterator[float]:
    slot = min(1 / policy.rate, policy.within / count)
    for number in range(count):
        yield now + (number + rng.random()) * slot


@frozen(kw_only=True)
class RedispatchSpec:
    """`strategy = "redispatch"`: no options."""

    def build(self, balancer: BalancerSpec) -> Redispatch:
        """Make the strategy."""
        return Redispatch(balancer)
