"""Rebalance: sessions leave members that have too many, in rounds that end.

Excess above the average and limits per round as in Akka's shard rebalancing. Every move lowers the
sum of squared distances from the average, so rounds end; a session moves once in a window, so
nobody is driven round in circles.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from math import ceil, floor, inf

from attrs import evolve, frozen

from balancers.interface import Member, View
from balancers.options import one_of, option, within
from failover.interface import Move, Order, Orphan, Policy
from failover.pacing import paced
from failover.placement import Placement, named_once, those_that_stay


@frozen
class Round:
    """What one look at the cluster decided; the next one takes it.

    :param moves: who goes where and when.
    :param is_under_way: whether rounds go on until the cluster is even.
    :param next_at: when the next round may begin.
    """

    moves: tuple[Move, ...] = ()
    is_under_way: bool = False
    next_at: float = -inf


@frozen(kw_only=True)
class Rebalance:
    """`[rebalance]`: when, whom and how fast."""

    begin_at: float = option(
        0.1, "Rounds begin when somebody is this far from the average; 0.1 is a tenth.",
        check=within(0.0, above=True),
    )
    end_at: float = option(
        0.03, "Rounds end when everybody is this close to the average.", check=within(0.0)
    )
    delta: float = option(
        0.0, "How far above the average members stay. What they keep, a new member lacks: with n "
        "old ones it stays n times this below.", check=within(0.0),
    )
    first: Order = option(  # noqa: RUF009 - it returns a field
        "newest", 'Which sessions go: the "newest" or the "idlest".',
        check=one_of("newest", "idlest"),
    )
    max_per_round: int = option(
        1000, "Sessions that move in one round, at most.", check=within(1)
    )
    max_fraction_per_round: float = option(
        0.1, "Share of all connections that moves in one round, at most.",
        check=within(0.0, 1.0, above=True),
    )
    shed_rate: float = option(
        20.0, "Sessions per second that one member gives away.", check=within(0.0, above=True)
    )
    interval: float = option(
        10.0, "Time from one round to the next.", check=within(0.0, above=True), unit="s"
    )
    window: float = option(
        600.0, "How long a session that a plan moved stays where it is.", check=within(0.0),
        unit="s",
    )

    def __attrs_post_init__(self) -> None:
        if self.end_at > self.begin_at:
            raise ValueError(
                f"end_at: expected a number up to begin_at, {self.begin_at}, found {self.end_at}"
            )

    def round(
        self, view: View, sessions: Sequence[Orphan], before: Round, policy: Policy, now: float,
        rng: random.Random, *, is_unsettled: bool,
    ) -> Round:
        """Return the next round; `view` must count what the one before moved.

        Nobody moves to a member that would get above the average or its capacity. O(n log n).

        :param sessions: all that may move; `home` is where each is.
        :param policy: the rate of targets; `within` is not asked, rounds are never forced.
        :param is_unsettled: somebody is suspected, or a rollout is going on: no round now.
        """
        if is_unsettled:
            return Round(next_at=max(before.next_at, now + self.interval))
        if now < before.next_at:
            return evolve(before, moves=())
        fleet = _Fleet.of(view)
        off = fleet.farthest()
        if off <= self.end_at or not (before.is_under_way or off > self.begin_at):
            return Round(next_at=before.next_at)
        named = named_once(sessions)
        placed = self._placed(fleet, named, now)
        pace = Policy(rate=policy.rate, leave_rate=self.shed_rate)
        moves = paced(named, placed, pace, now, rng)
        last = max((move.at for move in moves), default=now)
        return Round(moves, bool(moves), max(now + self.interval, last))

    def _placed(self, fleet: _Fleet, sessions: Sequence[Orphan], now: float) -> list[Placement]:
        """Take from the fullest for its weight and give to the emptiest, one at a time."""
        leaving: defaultdict[str, list[Orphan]] = defaultdict(list)
        for session in those_that_stay(sessions, self.first):
            if now - session.moved >= self.window:
                leaving[session.home].append(session)
        load = {member.id: member.connections for member in fleet.members}
        full = [
            (-load[member.id] / member.weight, member.id, member, keeps)
            for member in fleet.members
            if load[member.id] > (keeps := fleet.keeps(member, self.delta)) and leaving[member.id]
        ]
        heapify(full)
        empty = [
            (member.connections / member.weight, member.id, member, fleet.takes(member))
            for member in fleet.members
            if member.connections < fleet.takes(member)
        ]
        heapify(empty)
        placed: list[Placement] = []
        most = min(self.max_per_round, max(1, floor(self.max_fraction_per_round * fleet.total)))
        while full and empty and len(placed) < most:
            _, source, giver, least = heappop(full)
            _, target, taker, most_there = heappop(empty)
            placed.append(Placement(leaving[source].pop(), target, "rebalance"))
            load[source] -= 1
            load[target] += 1
            if load[source] > least and leaving[source]:
                heappush(full, (-load[source] / giver.weight, source, giver, least))
            if load[target] < most_there:
                heappush(empty, (load[target] / taker.weight, target, taker, most_there))
        return placed


@frozen
class _Fleet:
    """The members that take part: those that accept and have weight, full ones too."""

    members: tuple[Member, ...]
    total: int
    per_weight: float

    @classmethod
    def of(cls, view: View) -> _Fleet:
        members = tuple(m for m in view.members if m.is_accepting and m.weight > 0)
        total = sum(member.connections for member in members)
        weight = sum(member.weight for member in members)
        return cls(members, total, total / weight if members else 0.0)

    def farthest(self) -> float:
        """Return how far somebody is from the average, as a share of it."""
        return max(self._distances(), default=0.0)

    def _distances(self) -> Iterable[float]:
        for member in self.members:
            average = self.per_weight * member.weight
            # Less than one connection is no distance: it cannot be moved away.
            if abs(member.connections - average) >= 1:
                yield abs(member.connections - average) / average

    def keeps(self, member: Member, delta: float) -> int:
        return ceil(round((1 + delta) * self.per_weight * member.weight, 9))

    def takes(self, member: Member) -> int:
        return min(member.capacity, floor(round(self.per_weight * member.weight, 9)))
