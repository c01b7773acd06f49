"""What slow start and health do to weights."""

from __future__ import annotations

import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancers import Member, Modifier, View
from balancers.modifiers import HealthSpec, SlowStartSpec
from tests.balancers.fleets import fleet, views
from tests.balancers.moments import Hands

OLD, NEW = Member(id="old", weight=2.0), Member(id="new", weight=2.0)
BOTH = View(2, (OLD, NEW))


def slow(clock: Hands, **options: float) -> Modifier:
    """Return the modifier after its first view and its start-up."""
    modifier = SlowStartSpec(**options).build(random.Random(0), clock)  # type: ignore[arg-type]
    modifier.modified(View(1, (OLD,)))
    clock.forward(100)
    return modifier


def weight(view: View, name: str = "new") -> float:
    return view.by_id[name].weight


@given(
    aggression=st.sampled_from([0.5, 1.0, 2.0, 8.0]), percent=st.sampled_from([1.0, 10.0, 100.0]),
    waits=st.lists(st.integers(0, 20).map(lambda quarters: quarters / 4), max_size=30),
    steps=st.sampled_from([1, 7, 20]),
)
def test_a_newcomers_weight_grows_from_the_least_to_all_of_it(
    aggression: float, percent: float, waits: list[float], steps: int
) -> None:
    clock = Hands()
    modifier = slow(
        clock, aggression=aggression, min_weight_percent=percent, steps=steps, window=30.0
    )
    last, least = weight(modifier.modified(BOTH)), 2.0 * percent / 100
    assert last == pytest.approx(least)
    age = 0.0
    for wait in waits:
        clock.forward(wait)
        age += wait
        now = weight(modifier.modified(BOTH))
        assert last <= now <= 2.0
        assert now >= least
        assert now <= max(least, 2.0 * (age / 30) ** (1 / aggression)) + 1e-9 or age >= 30
        assert (now == 2.0) == (age >= 30 or percent == 100)
        last = now
    assert weight(modifier.modified(BOTH), "old") == 2.0


def test_half_way_a_newcomer_has_half_its_weight() -> None:
    clock = Hands()
    modifier = slow(clock)
    modifier.modified(BOTH)
    clock.forward(15)
    assert weight(modifier.modified(BOTH)) == 1.0


def test_a_step_of_time_is_one_view() -> None:
    clock = Hands()
    modifier = slow(clock)
    first = modifier.modified(BOTH)
    clock.forward(1.49)
    assert modifier.modified(BOTH) is first
    clock.forward(0.02)
    assert modifier.modified(BOTH) is not first
    clock.forward(30)
    assert modifier.modified(BOTH) is BOTH


def test_the_balancers_own_start_makes_nobody_a_newcomer() -> None:
    clock = Hands()
    modifier = SlowStartSpec().build(random.Random(0), clock)
    assert modifier.modified(View(0, ())).members == ()
    clock.forward(60)
    assert modifier.modified(BOTH) is BOTH
    # Others that start at the same time come a little later.
    clock.forward(4.9)
    in_time = View(3, (OLD, NEW, Member(id="third")))
    assert modifier.modified(in_time) is in_time
    clock.forward(0.1)
    late = View(4, (*in_time.members, Member(id="fourth")))
    assert weight(modifier.modified(late), "fourth") == pytest.approx(0.1)


def test_a_new_incarnation_is_a_newcomer() -> None:
    modifier = slow(Hands())
    again = View(2, (Member(id="old.2"),))
    assert weight(modifier.modified(again), "old.2") == pytest.approx(0.1)


def test_a_member_gets_its_weight_from_when_it_accepts() -> None:
    clock = Hands()
    modifier = slow(clock)
    starting = View(2, (OLD, attrs.evolve(NEW, is_accepting=False)))
    modifier.modified(starting)
    clock.forward(60)
    assert weight(modifier.modified(BOTH)) == pytest.approx(0.2)


def test_who_drained_when_the_balancer_started_is_no_newcomer_later() -> None:
    clock = Hands()
    modifier = SlowStartSpec().build(random.Random(0), clock)
    modifier.modified(View(1, (OLD, attrs.evolve(NEW, is_accepting=False))))
    clock.forward(60)
    assert modifier.modified(BOTH) is BOTH


def test_out_of_sight_for_a_moment_goes_on_and_for_longer_begins_again() -> None:
    clock = Hands()
    modifier = slow(clock)
    modifier.modified(BOTH)
    clock.forward(15)
    modifier.modified(View(3, (OLD,)))
    clock.forward(3)
    assert weight(modifier.modified(BOTH)) == pytest.approx(2.0 * 18 / 30)
    modifier.modified(View(4, (OLD,)))
    clock.forward(31)
    modifier.modified(View(5, (OLD,)))
    assert weight(modifier.modified(BOTH)) == pytest.approx(0.2)


def test_no_window_is_no_slow_start() -> None:
    assert slow(Hands(), window=0.0).modified(BOTH) is BOTH


@given(view=views())
def test_health_scales_weights_and_turns_the_unwell_away(view: View) -> None:
    modifier = HealthSpec(min_score=0.5, step=0.0).build(random.Random(0), Hands())
    judged = modifier.modified(view)
    for before in view.members:
        after = judged.by_id[before.id]
        assert after.is_accepting == (before.is_accepting and before.score >= 0.5)
        assert after.weight == before.weight * before.score
        assert after.score == 1.0, "it would count twice"
        assert attrs.evolve(
            after, weight=before.weight, is_accepting=before.is_accepting, score=before.score
        ) == before
    assert modifier.modified(view) is judged


@given(score=st.floats(0.001, 1), step=st.sampled_from([0.05, 0.1, 0.25, 1.0]))
def test_scores_are_rounded_up_to_steps(score: float, step: float) -> None:
    modifier = HealthSpec(min_score=0.0, step=step).build(random.Random(0), Hands())
    after = modifier.modified(View(1, (Member(id="a", score=score),))).members[0].weight
    assert score - 1e-9 <= after <= min(1.0, score + step)
    assert after / step == pytest.approx(round(after / step))


def test_where_all_are_well_health_changes_nothing() -> None:
    view = fleet(1, 2)
    assert HealthSpec().build(random.Random(0), Hands()).modified(view) is view


def test_the_least_score_is_still_well() -> None:
    modifier = HealthSpec(min_score=0.3).build(random.Random(0), Hands())
    view = View(1, (Member(id="at", score=0.3), Member(id="below", score=0.29)))
    assert [member.is_accepting for member in modifier.modified(view).members] == [True, False]


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        (SlowStartSpec, {"window": -1.0}), (SlowStartSpec, {"aggression": 0.0}),
        (SlowStartSpec, {"min_weight_percent": 0.0}), (SlowStartSpec, {"steps": 0}),
        (SlowStartSpec, {"min_weight_percent": 101.0}), (HealthSpec, {"min_score": 1.1}),
        (HealthSpec, {"step": float("nan")}),
    ],
)
def test_impossible_options_are_refused(
    spec: type[SlowStartSpec] | type[HealthSpec], wrong: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        spec(**wrong)  # type: ignore[arg-type]  # the wrong values are the point
