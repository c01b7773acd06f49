"""Failover plans: everybody is moved once, to where there is room, at the agreed pace."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancers import STRATEGIES as BALANCERS
from balancers import Member, View
from failover import STRATEGIES, Failover, Move, Order, Orphan, Policy
from tests.balancers.fleets import fleet, seeds, views

every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))
pairs = pytest.mark.parametrize(("name", "balancer"), [
    *(("redispatch", balancer) for balancer in sorted(BALANCERS)),
    # The others place by it as redispatch does, or by its hashes.
    *(
        (name, balancer) for name in sorted(STRATEGIES) if name != "redispatch"
        for balancer in ("bounded_load", "p2c", "ring_hash")
    ),
])

orphan_lists = st.lists(
    st.builds(
        Orphan,
        session=st.integers(0, 30).map("s{}".format),
        key=st.integers(0, 2**64 - 1),
        home=st.sampled_from(["n0", "n1", "n2", "gone", ""]),
        since=st.integers(0, 9).map(float),
        replica=st.sampled_from(["n0", "n1", "n2", "gone", ""]),
    ),
    max_size=40,
)
policies = st.builds(
    Policy, rate=st.sampled_from([0.5, 10.0, 1000.0]), within=st.sampled_from([1.0, 30.0, 1e9])
)


def build(name: str, balancer: str = "p2c") -> Failover:
    """Make the strategy with its defaults and that balancer."""
    return STRATEGIES[name]().build(BALANCERS[balancer]())


@pairs
@given(view=views(), orphans=orphan_lists, policy=policies, seed=seeds)
def test_everybody_moves_once_to_an_eligible_member_with_room(
    name: str, balancer: str, view: View, orphans: list[Orphan], policy: Policy, seed: int
) -> None:
    plan = build(name, balancer).plan(view, orphans, policy, 100.0, random.Random(seed))
    homes: dict[str, str] = {}
    for orphan in orphans:
        homes.setdefault(orphan.session, orphan.home)
    assert [move.session for move in plan] == [
        session for session in homes if session in {move.session for move in plan}
    ]
    arriving = Counter(move.to for move in plan)
    for name_, count in arriving.items():
        assert view.by_id[name_].is_eligible
        assert view.by_id[name_].connections + count <= view.by_id[name_].capacity
    for move in plan:
        assert move.to != homes[move.session]
    # Whoever was left out had nowhere to go: all that is left is room at its own home.
    for session in homes.keys() - {move.session for move in plan}:
        for member in view.members:
            full = member.connections + arriving[member.id] >= member.capacity
            assert full or not member.is_eligible or member.id == homes[session]


@every_strategy
@given(orphans=st.integers(0, 60), seed=seeds)
def test_nobody_is_left_behind_while_there_is_room(name: str, orphans: int, seed: int) -> None:
    view = fleet(0, 0, 0, capacity=20)
    lost = [Orphan(f"s{number}", number, "gone") for number in range(orphans)]
    plan = build(name).plan(view, lost, Policy(), 0.0, random.Random(seed))
    assert [move.session for move in plan] == [orphan.session for orphan in lost]
    past = [*lost, *(Orphan(f"t{number}", number, "gone") for number in range(61 - orphans))]
    assert len(build(name).plan(view, past, Policy(), 0.0, random.Random(seed))) == 60


@every_strategy
@given(view=views(), orphans=orphan_lists, seed=seeds)
def test_the_same_seed_gives_the_same_plan(
    name: str, view: View, orphans: list[Orphan], seed: int
) -> None:
    strategy = build(name)

    def plan() -> tuple[Move, ...]:
        return strategy.plan(view, orphans, Policy(), 5.0, random.Random(seed))

    assert plan() == plan()


@every_strategy
@given(orphans=st.integers(1, 80), policy=policies, seed=seeds)
def test_no_member_gets_more_than_its_rate_unless_time_is_short(
    name: str, orphans: int, policy: Policy, seed: int
) -> None:
    view = fleet(0, 0, 0)
    lost = [Orphan(f"s{number}", number, "gone") for number in range(orphans)]
    plan = build(name).plan(view, lost, policy, 100.0, random.Random(seed))
    for member in view.members:
        times = sorted(move.at for move in plan if move.to == member.id)
        if not times:
            continue
        assert times[0] >= 100.0
        assert times[-1] <= 100.0 + policy.within
        if name == "wait_then_redispatch":
            longest = max(Counter(move.to for move in plan).values()) / policy.rate
            assert times[0] >= 100.0 + min(10.0, policy.within - longest) - 1e-6
        rate = max(policy.rate, len(times) / policy.within)
        for number, begin in enumerate(times):
            # Slots of 1/rate: a window as long as k of them touches k + 1 at most.
            within = bisect_left(times, begin + 3 / rate) - number
            assert within <= 4


@every_strategy
def test_arrivals_do_not_come_in_step(name: str) -> None:
    lost = [Orphan(f"s{number}", number, "gone") for number in range(100)]
    plan = build(name).plan(fleet(0, 0), lost, Policy(rate=10.0), 0.0, random.Random(1))
    assert len({move.at for move in plan}) == 100


@every_strategy
@pytest.mark.parametrize("balancer", ["p2c", "least_connections"])
def test_orphans_spread_over_the_survivors(name: str, balancer: str) -> None:
    view = fleet(*([1_000] * 9), capacity=10_000)
    lost = [Orphan(f"s{number}", number, "n9") for number in range(1_000)]
    plan = build(name, balancer).plan(view, lost, Policy(), 0.0, random.Random(1))
    arriving = Counter(move.to for move in plan)
    assert len(arriving) == 9
    # Hashing is uneven: six standard deviations of a binomial share, 10, are 60.
    even = 1.1 if name not in {"successor", "replica"} else 1.5
    assert max(arriving.values()) <= even * 1_000 / 9


@every_strategy
@pytest.mark.parametrize("balancer", ["p2c", "rendezvous"])
@given(ages=st.lists(st.integers(0, 5), max_size=20), room=st.integers(0, 4), order=st.randoms())
@pytest.mark.parametrize("turn_away", ["newest", "idlest"])
def test_who_is_turned_away_first_gets_no_room_before_others(
    name: str, balancer: str, turn_away: Order, ages: list[int], room: int, order: random.Random
) -> None:
    lost = [
        Orphan(f"s{n}", n, order.choice(["gone/1", "n0/0", "d0", "d1"]), since=float(age),
               active=-float(age), replica=order.choice(["n0", "n1", ""]))
        for n, age in enumerate(ages)
    ]
    order.shuffle(lost)
    draining = (Member(id="d0", is_accepting=False), Member(id="d1", is_accepting=False))
    view = View(1, (*fleet(0, 0, capacity=room).members, *draining))
    policy = Policy(turn_away=turn_away)
    plan = build(name, balancer).plan(view, lost, policy, 0.0, random.Random(1))
    stay = sorted(lost, key=lambda orphan: (orphan.since, orphan.session))[: 2 * room]
    assert {move.session for move in plan} == {orphan.session for orphan in stay}


@every_strategy
@given(view=views(), orphans=orphan_lists, seed=seeds)
def test_a_death_moves_only_the_sessions_of_the_dead(
    name: str, view: View, orphans: list[Orphan], seed: int
) -> None:
    plan = build(name).plan(view, orphans, Policy(), 0.0, random.Random(seed))
    assert {move.session for move in plan} <= {orphan.session for orphan in orphans}
    assert all(move.reason for move in plan)
    assert build(name).plan(view, [], Policy(), 0.0, random.Random(seed)) == ()


@pytest.mark.parametrize("wrong", [
    {"rate": 0.0}, {"rate": -1.0}, {"within": 0.0}, {"leave_rate": 0.0}, {"retry_after": 0.0},
    {"turn_away": "eldest"},
])
def test_a_policy_refuses_to_stand_still(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Policy(**wrong)
