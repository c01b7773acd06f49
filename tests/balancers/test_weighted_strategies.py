"""What weighted round robin, least load and first promise on their own."""

from __future__ import annotations

import random
from collections import Counter
from itertools import accumulate

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancers import FirstSpec, LeastLoad, Member, Strategy, View, WeightedRoundRobin
from tests.balancers.fleets import fleet, seeds

whole_weights = st.lists(st.integers(1, 9), min_size=1, max_size=6)


def weighted(*weights: float) -> View:
    """Return a view of members n0, n1, ... with these weights."""
    return View(
        1, tuple(Member(id=f"n{at}", weight=weight) for at, weight in enumerate(weights))
    )


def picked(strategy: Strategy, view: View, picks: int) -> list[str]:
    """Return the ids of so many picks."""
    return [member.id for key in range(picks) if (member := strategy.pick(key, view))]


@given(weights=whole_weights, scale=st.sampled_from([0.125, 1, 1, 3.0]), seed=seeds)
def test_any_w_turns_hold_each_member_as_often_as_its_weight(
    weights: list[int], scale: float, seed: int
) -> None:
    view = weighted(*(weight * scale for weight in weights))
    window = sum(weights)
    turns = picked(WeightedRoundRobin(random.Random(seed)), view, 3 * window)
    expected = Counter({f"n{at}": weight for at, weight in enumerate(weights)})
    for start in range(2 * window + 1):
        assert Counter(turns[start : start + window]) == expected


@given(before=whole_weights, after=whole_weights, turns=st.integers(0, 40), seed=seeds)
def test_turns_are_exact_again_from_the_view_that_changes_the_weights(
    before: list[int], after: list[int], turns: int, seed: int
) -> None:
    strategy = WeightedRoundRobin(random.Random(seed))
    picked(strategy, weighted(*before), turns)
    view, window = weighted(*after), sum(after)
    following = picked(strategy, view, 2 * window)
    expected = Counter({f"n{at}": weight for at, weight in enumerate(after)})
    for start in range(window + 1):
        assert Counter(following[start : start + window]) == expected


@given(weights=whole_weights, seed=seeds)
def test_turns_are_evenly_spaced(weights: list[int], seed: int) -> None:
    # In every window the turns over the weights of two members are nearly equal, which turns one
    # member after the other are not.
    view = weighted(*weights)
    turns = picked(WeightedRoundRobin(random.Random(seed)), view, 2 * sum(weights))
    for start in range(sum(weights)):
        for counted in accumulate(
            ({name: 1} for name in turns[start:]),
            lambda sums, one: {**sums, **{name: sums.get(name, 0) + 1 for name in one}},
        ):
            lengths = [
                ((counted.get(f"n{at}", 0) - 1) / weight, (counted.get(f"n{at}", 0) + 1) / weight)
                for at, weight in enumerate(weights)
            ]
            assert max(low for low, _ in lengths) <= min(high for _, high in lengths) + 1e-9


def test_a_new_report_gives_nobody_a_turn_twice() -> None:
    strategy, view = WeightedRoundRobin(random.Random(3)), weighted(1, 1, 1, 1)
    turns = []
    for number in range(12):
        view = View(number, tuple(attrs.evolve(each, report=number) for each in view.members))
        turns += picked(strategy, view, 1)
    assert turns[:4] * 3 == turns


@pytest.mark.parametrize("seed", range(20))
def test_a_member_that_becomes_full_gives_the_others_no_second_turn(seed: int) -> None:
    strategy, view = WeightedRoundRobin(random.Random(seed)), weighted(1, 1, 1)
    full = View(2, (
        *view.members[:2], attrs.evolve(view.members[2], connections=5, capacity=5),
    ))
    first = picked(strategy, view, 3)
    after = [name for name in first if name != "n2"]
    assert picked(strategy, full, 4) == after * 2


def test_gateways_begin_with_different_members() -> None:
    firsts = {picked(WeightedRoundRobin(random.Random(seed)), weighted(3, 1, 1), 1)[0]
              for seed in range(40)}
    assert firsts == {"n0", "n1", "n2"}


@given(
    facts=st.lists(
        st.tuples(
            st.integers(0, 20), st.sampled_from([0.5, 1.0, 4.0]),
            st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        ),
        min_size=1, max_size=6,
    ),
    seed=seeds,
)
def test_least_load_picks_the_lowest_load_over_weight_and_score(
    facts: list[tuple[int, float, float]], seed: int
) -> None:
    view = View(1, tuple(
        Member(id=f"n{at}", connections=load, weight=weight, score=score)
        for at, (load, weight, score) in enumerate(facts)
    ))
    member = LeastLoad(random.Random(seed)).pick(0, view)
    assert member is not None
    well = [each for each in view.members if each.score]
    if well:
        least = min(each.connections / (each.weight * each.score) for each in well)
        assert member.score
        assert member.connections / (member.weight * member.score) == least
    else:
        least = min(each.connections / each.weight for each in view.members)
        assert member.connections / member.weight == least


def test_least_load_ranks_a_score_of_0_last_however_empty() -> None:
    view = View(1, (
        Member(id="dying", score=0.0), Member(id="busy", connections=900, score=0.1),
        Member(id="well", connections=500),
    ))
    ranked = LeastLoad(random.Random(0)).rank(0, view)
    assert [member.id for member in ranked] == ["well", "busy", "dying"]


@given(scores=st.lists(st.sampled_from([0.25, 0.5, 1.0]), min_size=1, max_size=5), seed=seeds)
def test_least_load_fills_by_score(scores: list[float], seed: int) -> None:
    view = View(1, tuple(
        Member(id=f"n{at}", score=score) for at, score in enumerate(scores)
    ))
    strategy, counted = LeastLoad(random.Random(seed)), Counter(dict.fromkeys(view.by_id, 0))
    for key in range(60):
        member = strategy.pick(key, view)
        assert member is not None
        strategy.opened(member.id)
        counted[member.id] += 1
    full = [counted[f"n{at}"] / score for at, score in enumerate(scores)]
    # One connection more is at most 1 / 0.25 in these units.
    assert max(full) - min(full) <= 4


def test_least_load_lets_equals_take_turns() -> None:
    assert set(picked(LeastLoad(random.Random(0)), fleet(3, 0, 0), 6)) == {"n1", "n2"}


def first(order: str = "id") -> Strategy:
    return FirstSpec(order=order).build(random.Random(0), lambda: 0.0)


def test_first_fills_one_member_before_the_next() -> None:
    strategy, view = first(), fleet(1, 0, 2, capacity=3)
    placed = []
    while (member := strategy.pick(0, view)) is not None:
        strategy.opened(member.id)
        placed.append(member.id)
    assert placed == ["n0"] * 2 + ["n1"] * 3 + ["n2"]


def test_first_goes_back_to_where_room_came_up() -> None:
    strategy, view = first(), fleet(0, 0, capacity=1)
    for _ in range(2):
        member = strategy.pick(0, view)
        assert member is not None
        strategy.opened(member.id)
    strategy.closed("n0")
    assert strategy.pick(0, view) is view.members[0]


def test_the_oldest_are_those_seen_first_whatever_their_names() -> None:
    strategy = first("oldest")
    old, middle, young = Member(id="z"), Member(id="m"), Member(id="a")
    strategy.pick(0, View(1, (old,)))
    strategy.pick(0, View(2, (old, middle)))
    ranked = strategy.rank(0, View(3, (young, old, middle)))
    assert [member.id for member in ranked] == ["z", "m", "a"]
    strategy.rank(0, View(4, (young, middle)))
    back = strategy.rank(0, View(5, (young, old, middle)))
    assert [member.id for member in back] == ["m", "a", "z"]


def test_first_knows_two_orders() -> None:
    with pytest.raises(ValueError, match="order"):
        FirstSpec(order="newest")
