"""Departures have a pace too, and who finds no room is told when to come back."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancers import STRATEGIES as BALANCERS
from failover import STRATEGIES, Orphan, Policy, shed
from failover.pacing import paced
from failover.placement import Placement
from tests.balancers.fleets import fleet, seeds

P2C = BALANCERS["p2c"]()


def most_within(times: list[float], seconds: float) -> int:
    times = sorted(times)
    return max(bisect_left(times, begin + seconds) - n for n, begin in enumerate(times))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@given(
    count=st.integers(1, 60), homes=st.integers(1, 3), leave_rate=st.sampled_from([2.0, 20.0]),
    seed=seeds,
)
def test_neither_homes_nor_members_exceed_their_rates(
    name: str, count: int, homes: int, leave_rate: float, seed: int
) -> None:
    draining = [Orphan(f"s{n}", n * 2**50, f"home{n % homes}") for n in range(count)]
    policy = Policy(rate=5.0, leave_rate=leave_rate)
    plan = STRATEGIES[name]().build(P2C).plan(
        fleet(0, 0, 0), draining, policy, 0.0, random.Random(seed)
    )
    leaving, arriving = defaultdict(list), defaultdict(list)
    for orphan, move in zip(draining, plan, strict=True):
        leaving[orphan.home].append(move.at)
        arriving[move.to].append(move.at)
    for times in leaving.values():
        assert most_within(times, 3 / leave_rate) <= 4
    for times in arriving.values():
        assert most_within(times, 3 / 5.0) <= 4


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@given(
    count=st.integers(1, 60), within=st.sampled_from([0.1, 3.0, 40.0]), members=st.integers(1, 3),
    seed=seeds,
)
def test_a_drain_is_over_by_its_deadline(
    name: str, count: int, within: float, members: int, seed: int
) -> None:
    draining = [Orphan(f"s{n}", n * 2**50, f"home{n % 2}") for n in range(count)]
    policy = Policy(rate=4.0, leave_rate=2.0, within=within)
    plan = STRATEGIES[name]().build(P2C).plan(
        fleet(*[0] * members), draining, policy, 50.0, random.Random(seed)
    )
    assert len(plan) == count
    assert all(50.0 <= move.at <= 50.0 + within for move in plan)


def test_a_single_home_leaves_as_fast_as_it_may() -> None:
    draining = [Orphan(f"s{n}", n, "n9") for n in range(100)]
    policy = Policy(rate=100.0, leave_rate=10.0)
    plan = STRATEGIES["spread"]().build(P2C).plan(
        fleet(0, 0), draining, policy, 0.0, random.Random(0)
    )
    assert 9.9 <= max(move.at for move in plan) <= 10.0


def test_a_member_keeps_its_rate_though_a_home_made_it_wait() -> None:
    # Twenty others leave first, so that the first of n0 goes when its second would.
    placed = [Placement(Orphan(f"s{n}", n, "home"), f"n{n}", "test") for n in range(1, 21)]
    placed += [Placement(Orphan(f"t{n}", n, "home"), "n0", "test") for n in range(2)]
    policy = Policy(rate=1.0, leave_rate=20.0)
    moves = paced([each.orphan for each in placed], placed, policy, 0.0, random.Random(0))
    first, second = (move.at for move in moves if move.to == "n0")
    assert 0.95 <= second - first <= 1.05


@given(
    ages=st.lists(st.integers(0, 9), max_size=30), room=st.integers(0, 12), order=st.randoms(),
    seed=seeds, retry_after=st.sampled_from([0.25, 3.0]),
)
def test_who_finds_no_room_is_shed_and_the_newest_come_back_last(
    ages: list[int], room: int, order: random.Random, seed: int, retry_after: float
) -> None:
    lost = [Orphan(f"s{n:02}", n, "gone", since=float(age)) for n, age in enumerate(ages)]
    order.shuffle(lost)
    view = fleet(0, 0, capacity=room)
    policy = Policy(rate=10.0, retry_after=retry_after)
    plan = STRATEGIES["redispatch"]().build(P2C).plan(view, lost, policy, 7.0, random.Random(seed))
    sheds = shed(view, lost, plan, policy, 7.0)
    moved = {move.session for move in plan}
    assert [each.session for each in sheds] == [o.session for o in lost if o.session not in moved]
    since = {orphan.session: orphan.since for orphan in lost}
    kept = max((since[session] for session in moved), default=0.0)
    assert all(since[each.session] >= kept for each in sheds)
    back = sorted(sheds, key=lambda each: each.retry_at)
    assert [since[each.session] for each in back] == sorted(since[each.session] for each in sheds)
    if back:
        earliest = max([7.0 + retry_after, *(move.at for move in plan)])
        assert back[0].retry_at == pytest.approx(earliest)
        # Two members take 20 a second.
        assert back[-1].retry_at - back[0].retry_at == pytest.approx((len(back) - 1) / 20)


def test_shedding_needs_no_member_and_no_moves() -> None:
    lost = [Orphan("a", 1, "gone", since=2.0), Orphan("b", 2, "gone"), Orphan("a", 1, "gone")]
    sheds = shed(fleet(), lost, (), Policy(rate=1.0, retry_after=4.0), 10.0)
    assert [(each.session, each.retry_at) for each in sheds] == [("a", 15.0), ("b", 14.0)]
