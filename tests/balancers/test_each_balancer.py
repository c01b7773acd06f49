"""What each balancing strategy promises on its own, against figures worked out on paper."""

from __future__ import annotations

import random
from collections import Counter

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancers import (
    LeastConnections,
    Member,
    PowerOfTwoChoices,
    RandomChoice,
    RoundRobin,
    Strategy,
    View,
)
from tests.balancers.fleets import fleet, seeds


def shares(strategy: Strategy, view: View, picks: int) -> dict[str, float]:
    """Return the share of each member over many picks that are not counted as connections."""
    counted = Counter(member.id for key in range(picks) if (member := strategy.pick(key, view)))
    return {member.id: counted[member.id] / picks for member in view.members}


@given(size=st.integers(1, 9), picks=st.integers(0, 60), seed=seeds)
def test_round_robin_differs_by_one_at_most(size: int, picks: int, seed: int) -> None:
    strategy, view = RoundRobin(random.Random(seed)), fleet(*range(size))
    counted = Counter({member.id: 0 for member in view.members})
    for key in range(picks):
        member = strategy.pick(key, view)
        assert member is not None
        strategy.opened(member.id)
        counted[member.id] += 1
    assert max(counted.values()) - min(counted.values()) <= 1


@given(seed=seeds, gone=st.integers(0, 4), at=st.integers(0, 12))
def test_round_robin_goes_on_where_it_was_when_a_member_leaves(
    seed: int, gone: int, at: int
) -> None:
    strategy, view = RoundRobin(random.Random(seed)), fleet(0, 0, 0, 0, 0)
    last = None
    for key in range(at):
        last = strategy.pick(key, view)
    rest = view.without(f"n{gone}")
    following = [strategy.pick(key, rest) for key in range(4)]
    assert {member.id for member in following if member} == set(rest.by_id)
    if last is not None:
        number = int(last.id[1:])
        after = [f"n{(number + step) % 5}" for step in range(1, 6)]
        expected = next(name for name in after if name != f"n{gone}")
        assert following[0] is rest.by_id[expected]


def test_round_robin_begins_anywhere() -> None:
    view = fleet(0, 0, 0)
    firsts = {RoundRobin(random.Random(seed)).pick(0, view) for seed in range(30)}
    assert firsts == set(view.members)


def test_round_robin_does_not_take_a_turn_by_ranking() -> None:
    strategy, view = RoundRobin(random.Random(1)), fleet(0, 0, 0)
    assert strategy.rank(0, view) == strategy.rank(1, view)
    turn = strategy.rank(0, view)
    assert [strategy.pick(key, view) for key in range(3)] == list(turn)


@given(loads=st.lists(st.integers(0, 20), min_size=1, max_size=6), seed=seeds)
def test_least_connections_picks_the_least_loaded_for_its_weight(
    loads: list[int], seed: int
) -> None:
    weights = [1.0, 2.0, 0.5, 1.0, 4.0, 1.0]
    view = View(1, tuple(
        Member(id=f"n{number}", connections=load, weight=weights[number])
        for number, load in enumerate(loads)
    ))
    member = LeastConnections(random.Random(seed)).pick(0, view)
    assert member is not None
    least = min(each.connections / each.weight for each in view.members)
    assert member.connections / member.weight == least


@given(size=st.integers(1, 8), picks=st.integers(0, 50), seed=seeds)
def test_least_connections_fills_evenly(size: int, picks: int, seed: int) -> None:
    strategy, view = LeastConnections(random.Random(seed)), fleet(*([0] * size))
    counted = Counter({member.id: 0 for member in view.members})
    for key in range(picks):
        member = strategy.pick(key, view)
        assert member is not None
        strategy.opened(member.id)
        counted[member.id] += 1
    assert max(counted.values()) - min(counted.values()) <= 1


def test_least_connections_lets_equals_take_turns() -> None:
    strategy, view = LeastConnections(random.Random(0)), fleet(3, 0, 0, 0)
    picked = [strategy.pick(key, view) for key in range(8)]
    assert {member.id for member in picked if member} == {"n1", "n2", "n3"}


def test_two_choices_take_shares_0_1_2_thirds_of_loads_2_1_0() -> None:
    # Of the three pairs, {2,1} goes to the load 1, {2,0} and {1,0} go to the load 0.
    observed = shares(PowerOfTwoChoices(random.Random(7)), fleet(2, 1, 0), 30_000)
    assert observed["n0"] == 0
    assert observed["n1"] == pytest.approx(1 / 3, abs=0.015)
    assert observed["n2"] == pytest.approx(2 / 3, abs=0.015)


def test_two_choices_treat_equals_alike() -> None:
    observed = shares(PowerOfTwoChoices(random.Random(7)), fleet(5, 5, 5, 5), 40_000)
    assert list(observed.values()) == pytest.approx([1 / 4] * 4, abs=0.012)


def test_two_choices_weigh_the_load() -> None:
    view = View(1, (
        Member(id="big", connections=6, weight=4.0), Member(id="small", connections=2),
    ))
    assert shares(PowerOfTwoChoices(random.Random(7)), view, 100) == {"big": 1.0, "small": 0.0}


@given(loads=st.lists(st.integers(0, 9), min_size=2, max_size=6), seed=seeds)
def test_two_choices_never_take_the_most_loaded(loads: list[int], seed: int) -> None:
    view = fleet(*loads, max(loads) + 1)
    strategy = PowerOfTwoChoices(random.Random(seed))
    assert view.members[-1] not in [strategy.pick(key, view) for key in range(30)]


def test_two_choices_rank_equals_in_random_order() -> None:
    strategy, view = PowerOfTwoChoices(random.Random(7)), fleet(0, 0, 0)
    orders = {tuple(member.id for member in strategy.rank(0, view)) for _ in range(200)}
    assert len(orders) == 6


def test_random_shares_are_the_weights() -> None:
    view = View(1, tuple(
        Member(id=name, weight=weight, connections=load)
        for name, weight, load in (("a", 1.0, 900), ("b", 2.0, 0), ("c", 5.0, 50))
    ))
    observed = shares(RandomChoice(random.Random(7)), view, 40_000)
    assert observed == {
        "a": pytest.approx(1 / 8, abs=0.012),
        "b": pytest.approx(2 / 8, abs=0.012),
        "c": pytest.approx(5 / 8, abs=0.012),
    }


LOAD_AWARE = [LeastConnections, PowerOfTwoChoices]


@pytest.mark.parametrize("make", LOAD_AWARE)
def test_own_picks_count_on_top_of_the_report(make: type[LeastConnections]) -> None:
    strategy, view = make(random.Random(0)), fleet(5, 0)
    assert strategy.pick(0, view) is view.members[1]
    for _ in range(6):
        strategy.opened("n1")
    assert strategy.pick(0, view) is view.members[0]
    strategy.closed("n1")
    strategy.closed("n1")
    assert strategy.pick(0, view) is view.members[1]


@pytest.mark.parametrize("make", LOAD_AWARE)
def test_a_new_report_includes_own_picks_and_an_old_one_still_does_not(
    make: type[LeastConnections],
) -> None:
    strategy, view = make(random.Random(0)), fleet(5, 0)
    strategy.pick(0, view)
    for _ in range(6):
        strategy.opened("n1")
    # Another member's report makes a new view: what was counted for n1 stays.
    other = View(2, (attrs.evolve(view.members[0], report=1), view.members[1]))
    assert strategy.pick(0, other) is other.members[0]
    # Even when n1 was out of sight meanwhile.
    assert strategy.pick(0, other.without("n1")) is other.members[0]
    assert strategy.pick(0, other) is other.members[0]
    # Its own report includes them; two have ended by then elsewhere.
    reported = View(3, (
        other.members[0], attrs.evolve(view.members[1], report=1, connections=4),
    ))
    assert strategy.pick(0, reported) is reported.members[1]
    strategy.opened("n1")
    strategy.opened("n1")
    assert strategy.pick(0, reported) is reported.members[0]


@pytest.mark.parametrize("make", LOAD_AWARE)
def test_a_burst_behind_one_old_report_spreads(make: type[LeastConnections]) -> None:
    strategy, view = make(random.Random(3)), fleet(*([100] * 8), 90)
    counted: Counter[str] = Counter()
    for key in range(810):
        member = strategy.pick(key, view)
        assert member is not None
        strategy.opened(member.id)
        counted[member.id] += 1
    total = [member.connections + counted[member.id] for member in view.members]
    average = sum(total) / len(total)
    assert max(total) / average < 1.05
