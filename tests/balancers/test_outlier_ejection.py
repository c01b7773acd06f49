"""What outlier ejection and panic decide."""

from __future__ import annotations

import random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from balancers import Member, View
from balancers.modifiers import HealthSpec, OutlierEjectionSpec, PanicSpec
from balancers.modifiers.outlier_ejection import OutlierEjection
from tests.balancers.fleets import fleet, views
from tests.balancers.moments import Hands


def made(clock: Hands, view: View, **options: float) -> OutlierEjection:
    modifier = OutlierEjection(
        OutlierEjectionSpec(**options),  # type: ignore[arg-type]  # numbers all
        clock,
    )
    assert modifier.modified(view) is view
    return modifier


def fail(modifier: OutlierEjection, name: str, times: int = 5) -> None:
    for _ in range(times):
        modifier.observed(name, None)


def ejected(modifier: OutlierEjection, view: View) -> set[str]:
    judged = modifier.modified(view)
    return {
        name for name, member in view.by_id.items()
        if member.is_accepting and not judged.by_id[name].is_accepting
    }


def test_failures_in_a_row_eject_and_a_success_starts_the_count_again() -> None:
    view = fleet(0, 0, 0)
    modifier = made(Hands(), view)
    fail(modifier, "n0", 4)
    modifier.observed("n0", 0.1)
    fail(modifier, "n0", 4)
    assert modifier.modified(view) is view
    fail(modifier, "n0", 1)
    assert ejected(modifier, view) == {"n0"}
    assert modifier.modified(view) is modifier.modified(view)
    assert modifier.described(view) == {
        "n0": {"ejected": True}, "n1": {"ejected": False}, "n2": {"ejected": False},
    }


def test_each_ejection_in_a_row_is_longer_up_to_the_longest() -> None:
    clock, view = Hands(), fleet(0, 0, 0)
    modifier = made(clock, view, max_ejection_time=100.0)
    for duration in (30, 60, 90, 100, 100):
        fail(modifier, "n0")
        clock.forward(duration - 0.25)
        assert ejected(modifier, view) == {"n0"}
        clock.forward(0.25)
        assert modifier.modified(view) is view


def test_ejections_are_forgotten_with_time() -> None:
    clock, view = Hands(), fleet(0, 0, 0)
    modifier = made(clock, view)
    for duration in (30, 60):
        fail(modifier, "n0")
        clock.forward(duration)
    # Twice in a row, then one base time without: the next one is the second again.
    clock.forward(30)
    fail(modifier, "n0")
    clock.forward(59.75)
    assert ejected(modifier, view) == {"n0"}
    clock.forward(0.25)
    assert ejected(modifier, view) == set()
    clock.forward(10_000)
    fail(modifier, "n0")
    clock.forward(30)
    assert ejected(modifier, view) == set()


def test_failures_that_were_on_their_way_do_not_count() -> None:
    clock, view = Hands(), fleet(0, 0, 0)
    modifier = made(clock, view)
    fail(modifier, "n0", 9)
    clock.forward(30)
    fail(modifier, "n0", 4)
    assert ejected(modifier, view) == set()


def test_where_the_percentage_is_used_up_others_wait() -> None:
    clock, view = Hands(), fleet(*([0] * 10))
    modifier = made(clock, view)
    fail(modifier, "n0")
    fail(modifier, "n1")
    assert ejected(modifier, view) == {"n0"}
    clock.forward(30)
    fail(modifier, "n1", 1)
    assert ejected(modifier, view) == {"n1"}


@pytest.mark.parametrize(
    ("options", "size", "expected"),
    [
        ({}, 1, 0), ({}, 2, 1), ({}, 19, 1), ({}, 20, 2),
        ({"max_ejection_percent": 0.0}, 9, 0),
        ({"max_ejection_percent": 100.0}, 4, 3),
        ({"always_eject_one_host": False}, 9, 0), ({"always_eject_one_host": False}, 10, 1),
    ],
)
def test_so_many_may_be_ejected(options: dict[str, float], size: int, expected: int) -> None:
    view = fleet(*([0] * size))
    modifier = made(Hands(), view, **options)
    for name in view.by_id:
        fail(modifier, name)
    assert len(ejected(modifier, view)) == expected


def test_a_new_incarnation_and_a_stranger_have_no_record() -> None:
    clock, view = Hands(), fleet(0, 0, 0)
    modifier = made(clock, view)
    fail(modifier, "stranger")
    fail(modifier, "n0")
    assert ejected(modifier, view) == {"n0"}
    assert ejected(modifier, view.without("n0")) == set()
    assert ejected(modifier, view) == set()


class Ejections(RuleBasedStateMachine):
    """Handshakes fail and members come and go; the bound on ejections holds at any time."""

    @initialize(percent=st.sampled_from([0.0, 10.0, 34.0, 100.0]), one=st.booleans())
    def begin(self, percent: float, one: bool) -> None:
        self.clock = Hands()
        self.percent, self.one = percent, one
        self.modifier = OutlierEjection(
            OutlierEjectionSpec(
                consecutive_failures=2, max_ejection_percent=percent, always_eject_one_host=one
            ),
            self.clock,
        )
        self.view = fleet(*([0] * 6))
        self.modifier.modified(self.view)

    @rule(number=st.integers(0, 7), fails=st.booleans())
    def handshake(self, number: int, fails: bool) -> None:
        self.modifier.observed(f"n{number}", None if fails else 0.1)

    @rule(number=st.integers(0, 7))
    def fails_twice(self, number: int) -> None:
        fail(self.modifier, f"n{number}", 2)

    @rule(seconds=st.sampled_from([0.25, 15.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @rule(number=st.integers(0, 7), is_accepting=st.booleans())
    def changes(self, number: int, is_accepting: bool) -> None:
        rest = self.view.without(f"n{number}").members
        self.view = View(2, (*rest, Member(id=f"n{number}", is_accepting=is_accepting)))

    @rule(number=st.integers(0, 7))
    def leaves(self, number: int) -> None:
        self.view = self.view.without(f"n{number}")

    @invariant()
    def never_too_many(self) -> None:
        judged = self.modifier.modified(self.view)
        accepting = sum(member.is_accepting for member in self.view.members)
        most = int(self.percent * accepting / 100)
        if self.one and self.percent:
            most = max(most, 1)
        out = ejected(self.modifier, self.view)
        assert len(out) <= max(0, min(most, accepting - 1))
        assert judged is self.modifier.modified(self.view)
        assert judged.by_id.keys() == self.view.by_id.keys()


TestEjections = Ejections.TestCase


@given(view=views(), threshold=st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_panic_begins_below_its_threshold_and_nowhere_else(view: View, threshold: float) -> None:
    health = HealthSpec(min_score=0.4).build(random.Random(0), Hands())
    panic = PanicSpec(threshold=threshold).around((health,))
    able = [each for each in view.members if each.is_accepting and each.weight]
    well = [each for each in able if each.score >= 0.4]
    seen = panic.modified(view)
    if len(well) < threshold * len(able):
        assert seen is view
    else:
        assert seen is health.modified(view)
    in_panic = len(well) < threshold * len(able)
    assert all(said["panic"] is in_panic for said in panic.described(view).values())


def test_panic_brings_nobody_back_who_drains() -> None:
    view = View(1, (
        Member(id="sick", score=0.0), Member(id="worse", score=0.0),
        Member(id="draining", is_accepting=False), Member(id="out", weight=0.0),
    ))
    panic = PanicSpec().around((HealthSpec().build(random.Random(0), Hands()),))
    seen = panic.modified(view)
    assert [member.id for member in seen.members if member.is_eligible] == ["sick", "worse"]


def test_panic_ends_when_enough_are_well_again() -> None:
    panic = PanicSpec().around((HealthSpec().build(random.Random(0), Hands()),))
    members = [Member(id=f"n{at}", score=0.0) for at in range(4)]
    accepting = []
    for at in range(5):
        seen = panic.modified(View(at, tuple(
            attrs.evolve(member, score=1.0) if at > place else member
            for place, member in enumerate(members)
        )))
        accepting.append(sum(member.is_accepting for member in seen.members))
    assert accepting == [4, 4, 2, 3, 4]


def test_in_a_panic_the_ejected_are_back_and_failures_still_reach_the_judge() -> None:
    view = fleet(0, 0)
    judge = made(Hands(), view)
    panic = PanicSpec(threshold=0.6).around((judge,))
    assert panic.modified(view) is view
    for _ in range(5):
        panic.observed("n0", None)
    assert ejected(judge, view) == {"n0"}
    assert panic.modified(view) is view


def test_panic_alone_changes_nothing() -> None:
    view = fleet(0, 0)
    assert PanicSpec().build(random.Random(0), Hands()).modified(view) is view
