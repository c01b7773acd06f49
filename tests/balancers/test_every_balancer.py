"""What holds for every built-in balancing strategy."""

from __future__ import annotations

import ast
import random
from collections import Counter
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import balancers
from balancers import STRATEGIES, Member, Strategy, View
from balancers.hashing import mixed
from tests.balancers.fleets import fleet, keys, seeds, views

every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))
every_fair_strategy = pytest.mark.parametrize(
    # `first` fills one member before it turns to the next: being unequal is what it is for.
    "name", sorted(STRATEGIES.keys() - {"first"}),
)


def build(name: str, seed: int = 0) -> Strategy:
    """Make the strategy of that name with its defaults."""
    return STRATEGIES[name]().build(random.Random(seed), lambda: 0.0)


@every_strategy
@given(view=views(), key=keys, seed=seeds)
def test_rank_holds_every_eligible_member_once(
    name: str, view: View, key: int, seed: int
) -> None:
    ranked = build(name, seed).rank(key, view)
    eligible = [member for member in view.members if member.is_eligible]
    assert sorted(member.id for member in ranked) == [member.id for member in eligible]
    assert all(view.by_id[member.id] is member for member in ranked)


@every_strategy
@given(
    view=views(), key=keys, seed=seeds, before=st.lists(st.integers(0, 7), max_size=12)
)
def test_a_pick_is_the_first_of_the_rank(
    name: str, view: View, key: int, seed: int, before: list[int]
) -> None:
    picking, ranking = build(name, seed), build(name, seed)
    for strategy in (picking, ranking):
        for number in before:
            strategy.pick(key, view)
            strategy.opened(f"n{number}")
    first = next(iter(ranking.rank(key, view)), None)
    assert picking.pick(key, view) is first


@every_strategy
@given(view=views(), seed=seeds)
def test_own_picks_never_go_beyond_a_capacity(name: str, view: View, seed: int) -> None:
    strategy = build(name, seed)
    load = {member.id: member.connections for member in view.members}
    room = sum(
        member.capacity - member.connections for member in view.members if member.is_eligible
    )
    for key in range(room):
        member = strategy.pick(key, view)
        assert member is not None, "there was room left"
        assert member.is_eligible
        strategy.opened(member.id)
        load[member.id] += 1
        assert load[member.id] <= member.capacity
    assert strategy.pick(0, view) is None
    assert list(strategy.rank(0, view)) == []


@every_strategy
def test_closing_gives_the_room_back(name: str) -> None:
    strategy, view = build(name), fleet(0, capacity=2)
    for _ in range(2):
        assert strategy.pick(0, view) is view.members[0]
        strategy.opened("n0")
    assert strategy.pick(0, view) is None
    strategy.closed("n0")
    assert strategy.pick(0, view) is view.members[0]


@every_strategy
def test_draining_starts_with_the_view_that_says_so(name: str) -> None:
    strategy, view = build(name), fleet(0, 0)
    assert len(strategy.rank(0, view)) == 2
    draining = View(2, (attrs.evolve(view.members[0], is_accepting=False), view.members[1]))
    assert {strategy.pick(key, draining) for key in range(20)} == {draining.members[1]}


@every_strategy
def test_more_closed_than_opened_is_a_mistake_of_the_caller(name: str) -> None:
    strategy = build(name)
    strategy.opened("n0")
    strategy.closed("n0")
    with pytest.raises(ValueError, match="n0: closed more"):
        strategy.closed("n0")


@every_strategy
def test_nobody_is_picked_where_nobody_is(name: str) -> None:
    strategy = build(name)
    assert strategy.pick(0, View(1, ())) is None
    assert list(strategy.rank(0, View(1, ()))) == []


@every_strategy
@given(view=views(), seed=seeds)
def test_the_same_seed_gives_the_same_picks(name: str, view: View, seed: int) -> None:
    one, other = build(name, seed), build(name, seed)
    shuffled = View(view.version, tuple(reversed(view.members)))
    assert [one.pick(key, view) for key in range(20)] == [
        other.pick(key, shuffled) for key in range(20)
    ]


@every_fair_strategy
def test_every_eligible_member_is_picked_in_the_long_run(name: str) -> None:
    strategy, view = build(name), fleet(0, 0, 0, 0)
    shares: Counter[str] = Counter()
    for number in range(400):
        member = strategy.pick(mixed(1, number), view)
        assert member is not None
        strategy.opened(member.id)
        shares[member.id] += 1
    # Random alone is uneven: 400 throws at 1/4 stay within 60 of 100 at 6.9 sigma.
    assert min(shares.values()) >= 40
    assert len(shares) == 4


def test_two_members_with_one_id_are_no_view() -> None:
    with pytest.raises(ValueError, match="different ids"):
        View(1, (Member(id="a"), Member(id="a", weight=2.0)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": -1.0}, {"weight": float("nan")}, {"weight": float("inf")},
        {"connections": -1}, {"capacity": -1}, {"score": 1.5}, {"score": -0.1},
    ],
)
def test_a_member_refuses_impossible_values(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Member(id="a", **wrong)  # type: ignore[arg-type]  # the wrong values are the point


@pytest.mark.parametrize("package", ["balancers", "failover"])
def test_strategies_know_nothing_of_the_world(package: str) -> None:
    allowed = {
        "__future__", "attrs", "balancers", "bisect", "collections", "itertools", "math",
        "hashlib", "heapq", "operator", "random", "types", "typing",
    } | {package}
    folder = Path(balancers.__file__).parent.parent / package
    imported = {
        name.partition(".")[0]
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert imported <= allowed
