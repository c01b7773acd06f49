"""Failover plans: everybody is moved once, to where there is room, at the agreed pace."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancers import STRATEGIES as BALANCERS
from balancers import View
from failover import STRATEGIES, Failover, Move, Orphan, Policy
from tests.balancers.fleets import fleet, seeds, views

every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))
every_balancer = pytest.mark.parametrize("balancer", sorted(BALANCERS))

orphan_lists = st.lists(
    st.builds(
        Orphan,
        session=st.integers(0, 30).map("s{}".format),
        key=st.integers(0, 2**64 - 1),
        home=st.sampled_from(["n0", "n1", "n2", "gone", ""]),
    ),
    max_size=40,
)
policies = st.builds(
    Policy, rate=st.sampled_from([0.5, 10.0, 1000.0]), within=st.sampled_from([1.0, 30.0, 1e9])
)


def build(name: str, balancer: str = "p2c") -> Failover:
    """Make the strategy with its defaults and that balancer."""
    return STRATEGIES[name]().build(BALANCERS[balancer]())


@every_strategy
@every_balancer
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
    assert max(arriving.values()) <= 1.1 * 1_000 / 9


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": -1.0}, {"within": 0.0}])
def test_a_policy_refuses_to_stand_still(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Policy(**wrong)
