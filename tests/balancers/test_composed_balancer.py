"""What a balancer made of a strategy, modifiers and a memory promises."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancers import (
    MODIFIERS,
    STRATEGIES,
    Balancer,
    Clock,
    Member,
    ModifierSpec,
    PeakEwmaSpec,
    RoundRobinSpec,
    Spec,
    StickySpec,
    View,
    compose,
)
from balancers.modifiers import HealthSpec, OutlierEjectionSpec, PanicSpec, SlowStartSpec, ZoneSpec
from tests.balancers.fleets import fleet, keys, seeds, views
from tests.balancers.moments import Hands

SETS = [(name,) for name in sorted(MODIFIERS)] + [tuple(MODIFIERS)]
every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))
every_set = pytest.mark.parametrize("names", SETS, ids="+".join)


def small(name: str) -> Spec:
    """Return the options of a strategy, with tables that are quick to make."""
    spec: Any = STRATEGIES[name]()
    sizes = {"table_size": 251, "vnodes": 8, "replicas": 8}
    known = {field.name for field in attrs.fields(type(spec))}
    return attrs.evolve(spec, **{size: sizes[size] for size in sizes.keys() & known})


def modifiers(*names: str) -> list[ModifierSpec]:
    return [ZoneSpec(zone="here") if name == "zone" else MODIFIERS[name]() for name in names]


def zoned(view: View) -> View:
    """Return the view with every other member in the own zone."""
    return View(view.version, tuple(
        attrs.evolve(member, zone="here" if at % 2 else "there")
        for at, member in enumerate(view.members)
    ))


def ids(balancer: Balancer, view: View, picks: int = 30) -> list[str | None]:
    return [member and member.id for key in range(picks) for member in [balancer.pick(key, view)]]


@every_set
@every_strategy
@settings(max_examples=20)
@given(
    drawn=views(), key=keys, seed=seeds, is_sticky=st.booleans(),
    failing=st.lists(st.integers(0, 7), max_size=3), wait=st.sampled_from([0.0, 1.0, 40.0]),
)
def test_only_the_eligible_are_placed_on_and_the_view_stays_as_it_is(
    name: str, names: tuple[str, ...], drawn: View, key: int, seed: int, is_sticky: bool,
    failing: list[int], wait: float,
) -> None:
    view, clock = zoned(drawn), Hands()
    before = tuple(view.members)
    sticky = StickySpec() if is_sticky else None
    one, other = (
        compose(small(name), modifiers(*names), sticky, random.Random(seed), clock)
        for _ in range(2)
    )
    results = []
    for balancer in (one, other):
        balancer.pick(key, fleet(0))
        for number in failing:
            for _ in range(5):
                balancer.observed(f"n{number}", None)
        clock.now = 1_000.0 + wait
        ranked = list(balancer.rank(key, view))
        assert len({member.id for member in ranked}) == len(ranked)
        assert all(member.is_eligible and member is view.by_id[member.id] for member in ranked)
        results.append(ids(balancer, view, 5))
        assert {each for each in results[-1] if each} <= {member.id for member in ranked}
        assert (results[-1][0] is None) == (ranked == [])
        clock.now = 1_000.0
    assert results[0] == results[1]
    assert view.members == before
    if not {"health", "outlier_ejection"} & set(names):
        # The others change weights, not who may be placed on.
        assert (ranked == []) == (not any(member.is_eligible for member in view.members))


@every_strategy
@given(view=views(), seed=seeds)
@settings(max_examples=20)
def test_without_modifiers_it_is_the_strategy(name: str, view: View, seed: int) -> None:
    alone = small(name).build(random.Random(seed), Hands())
    balancer = compose(small(name), [], None, random.Random(seed), Hands())
    for key in range(10):
        assert balancer.pick(key, view) is alone.pick(key, view)
    assert [each.id for each in balancer.rank(7, view)] == [each.id for each in alone.rank(7, view)]


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_the_order_in_which_modifiers_are_given_does_not_matter(name: str) -> None:
    view = View(1, tuple(
        Member(
            id=f"n{at}", zone="here" if at % 2 else "there", score=(0.0, 1.0, 0.4)[at % 3],
            connections=at,
        )
        for at in range(7)
    ))
    picks = set()
    for specs in permutations(modifiers(*MODIFIERS), len(MODIFIERS)):
        clock = Hands()
        balancer = compose(small(name), specs, None, random.Random(3), clock)
        balancer.pick(0, fleet(0, 0))
        clock.forward(10)
        ids(balancer, view, 2)
        for _ in range(5):
            balancer.observed("n1", None)
        picks.add(tuple(ids(balancer, view)))
    assert len(picks) == 1


def test_one_kind_of_modifier_is_enough() -> None:
    with pytest.raises(ValueError, match="of a kind"):
        compose(RoundRobinSpec(), [PanicSpec(), PanicSpec()], None, random.Random(0), Hands())


@attrs.define(eq=False)
class Counting:
    """A modifier of somebody else that counts how often it is asked."""

    asked: int = 0
    told: int = 0

    def build(self, rng: random.Random, clock: Clock) -> Counting:
        return self

    def modified(self, view: View) -> View:
        self.asked += 1
        return view.without("n0")


class Learning(Counting):
    def observed(self, member: str, seconds: float | None) -> None:
        self.told += 1


def test_modifiers_are_asked_once_for_a_view_and_a_step_of_time() -> None:
    clock, counting, view = Hands(), Counting(), fleet(0, 0)
    balancer = compose(RoundRobinSpec(), [counting], None, random.Random(0), clock)
    assert set(ids(balancer, view, 100)) == {"n1"}
    balancer.observed("n1", 0.1)
    balancer.opened("n1")
    balancer.rank(0, view)
    assert (counting.asked, counting.told) == (1, 0)
    clock.forward(0.25)
    ids(balancer, view, 100)
    assert counting.asked == 2
    ids(balancer, fleet(0, 0), 100)
    assert counting.asked == 3


def test_a_success_is_told_and_looked_at_with_the_next_step_of_time() -> None:
    clock, learning, view = Hands(), Learning(), fleet(0, 0)
    balancer = compose(RoundRobinSpec(), [learning], None, random.Random(0), clock)
    for _ in range(100):
        ids(balancer, view, 1)
        balancer.observed("n1", 0.1)
    assert (learning.asked, learning.told) == (1, 100)
    clock.forward(0.25)
    ids(balancer, view, 1)
    assert learning.asked == 2


def test_a_failure_counts_from_the_next_pick_on() -> None:
    view = fleet(0, 0, 0)
    learning = Learning()
    balancer = compose(
        RoundRobinSpec(), [learning, OutlierEjectionSpec()], None, random.Random(0), Hands()
    )
    assert set(ids(balancer, view)) == {"n1", "n2"}
    for _ in range(5):
        balancer.observed("n2", None)
    assert learning.told == 5
    assert set(ids(balancer, view)) == {"n1"}
    assert [member.id for member in balancer.rank(0, view)] == ["n1"]


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_clients_go_elsewhere_when_the_own_zone_is_full(name: str) -> None:
    view = zoned(fleet(0, 0, 0, 0, capacity=2))
    balancer = compose(small(name), modifiers("zone"), None, random.Random(0), Hands())
    placed = []
    for key in range(8):
        member = balancer.pick(key, view)
        assert member is not None
        balancer.opened(member.id)
        placed.append(member.zone)
    assert placed == ["here"] * 4 + ["there"] * 4
    assert balancer.pick(0, view) is None
    balancer.closed("n1")
    member = balancer.pick(0, view)
    assert member is view.by_id["n1"]
    ranking = compose(small(name), modifiers("zone"), None, random.Random(0), Hands())
    assert [each.zone for each in ranking.rank(5, view)] == ["here"] * 2 + ["there"] * 2


def test_a_key_keeps_its_member_in_the_other_zone() -> None:
    spec = [ZoneSpec(zone="here")]
    balancer = compose(RoundRobinSpec(), spec, StickySpec(), random.Random(0), Hands())
    sick = View(1, (Member(id="a", zone="here", is_accepting=False), Member(id="b")))
    assert balancer.pick(5, sick) is sick.by_id["b"]
    well = View(2, (Member(id="a", zone="here"), Member(id="b")))
    assert balancer.pick(5, well) is well.by_id["b"]
    assert balancer.pick(6, well) is well.by_id["a"]


def test_a_key_goes_on_where_it_was_placed_in_the_end() -> None:
    view = fleet(0, 0, 0)
    balancer = compose(RoundRobinSpec(), [], StickySpec(), random.Random(0), Hands())
    first, second, *_ = balancer.rank(9, view)
    assert balancer.pick(9, view) is first
    balancer.placed(9, second.id)
    assert balancer.pick(9, view) is second
    forgetful = compose(RoundRobinSpec(), [], None, random.Random(0), Hands())
    forgetful.placed(9, "n0")
    assert len(set(ids(forgetful, view, 3))) == 3


def test_it_tells_how_it_sees_each_member() -> None:
    clock = Hands()
    balancer = compose(
        PeakEwmaSpec(),
        [HealthSpec(), OutlierEjectionSpec(), PanicSpec(), SlowStartSpec(), ZoneSpec(zone="here")],
        StickySpec(), random.Random(0), clock,
    )
    assert balancer.describe() == {}
    old = [Member(id=name, zone="here") for name in ("a", "b")]
    balancer.pick(0, View(1, tuple(old)))
    clock.forward(60)
    view = View(2, (
        *old, Member(id="c", zone="here", score=0.5, weight=4.0), Member(id="d"),
    ))
    balancer.pick(0, view)
    balancer.observed("a", 0.25)
    for _ in range(5):
        balancer.observed("b", None)
    clock.forward(15)
    said = balancer.describe()
    assert said.keys() == {"a", "b", "c", "d"}
    assert said["a"] == {
        "weight": 1.0, "accepting": True, "warm": 1.0, "ejected": False, "panic": False,
        "handshake": pytest.approx(0.25),
    }
    assert (said["b"]["accepting"], said["b"]["ejected"]) == (False, True)
    assert said["c"]["warm"] == 0.5
    # 4 by weight, halved by its score and again as a newcomer; nothing spills to d.
    assert said["c"]["weight"] == 1.0
    assert said["d"]["weight"] < 0.5


def test_learning_strategies_learn_behind_zone_and_memory() -> None:
    view = zoned(fleet(0, 0, 0, 0))
    balancer = compose(
        PeakEwmaSpec(), modifiers("zone"), StickySpec(), random.Random(0), Hands()
    )
    balancer.pick(0, view)
    balancer.observed("n1", 0.1)
    balancer.observed("n3", 0.5)
    assert {balancer.rank(key, view)[0].id for key in range(1, 20)} == {"n1"}
