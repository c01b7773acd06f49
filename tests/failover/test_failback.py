"""Failback: who returns to a member that is back, when, and how many."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancers import Member, View
from failover import FAILBACKS, Gradual, NoFailback, OnReconnect, Orphan, Policy
from tests.balancers.fleets import seeds

POLICY = Policy()


def returned_to(home: int, away: int, *, capacity: int = 1_000, accepting: bool = True) -> View:
    """Return a cluster of two, where a is back with its second incarnation."""
    return View(1, (
        Member(id="a/2", connections=home, capacity=capacity, is_accepting=accepting),
        Member(id="b/1", connections=away),
    ))


def strays(count: int, **more: object) -> list[Orphan]:
    return [
        Orphan(f"s{n:03}", n, "b/1", since=float(n), former="a/1", **more)  # type: ignore[arg-type]
        for n in range(count)
    ]


def test_the_names_are_those_of_the_configuration() -> None:
    assert FAILBACKS == {"none": NoFailback, "on_reconnect": OnReconnect, "gradual": Gradual}


@pytest.mark.parametrize(("name", "expected"), [
    ("none", None), ("on_reconnect", "a/2"), ("gradual", "a/2"),
])
def test_who_reconnects_is_welcome_at_its_former_home(name: str, expected: str | None) -> None:
    failback, (stray,) = FAILBACKS[name](), strays(1)
    assert failback.welcomed(stray, returned_to(0, 9)) == expected
    assert failback.welcomed(stray, returned_to(0, 9, accepting=False)) is None
    assert failback.welcomed(stray, returned_to(5, 9, capacity=5)) is None
    assert failback.welcomed(stray, View(1, (Member(id="b/1"),))) is None
    assert failback.welcomed(Orphan("x", 1, "a/2", former="a/1"), returned_to(0, 9)) is None


@pytest.mark.parametrize("failback", [NoFailback(), OnReconnect()])
def test_only_the_gradual_moves_anybody(failback: NoFailback | OnReconnect) -> None:
    view, rng = returned_to(0, 10), random.Random(0)
    assert failback.plan(view, strays(10), {"a/2": 0.0}, POLICY, 1e6, rng) == ()


def test_the_newest_go_back_first_up_to_the_home_s_share() -> None:
    plan = Gradual().plan(
        returned_to(0, 10), strays(10), {"a/2": 0.0}, POLICY, 30.0, random.Random(0)
    )
    assert [move.session for move in plan] == ["s005", "s006", "s007", "s008", "s009"]
    assert {(move.to, move.reason) for move in plan} == {("a/2", "failback")}
    idlest = Policy(turn_away="idlest")
    quiet = [Orphan(f"s{n}", n, "b/1", active=-float(n), former="a/1") for n in range(4)]
    plan = Gradual().plan(
        returned_to(0, 4), quiet, {"a/2": 0.0}, idlest, 30.0, random.Random(0)
    )
    assert [move.session for move in plan] == ["s2", "s3"]


def test_a_home_must_have_been_back_for_a_while() -> None:
    view, rng = returned_to(0, 10), random.Random(0)
    gradual = Gradual(stable=30.0)
    assert gradual.plan(view, strays(10), {"a/2": 1.0}, POLICY, 30.0, rng) == ()
    assert gradual.plan(view, strays(10), {}, POLICY, 30.0, rng) == ()
    assert gradual.plan(view, strays(10), {"a/2": 0.0}, POLICY, 30.0, rng) != ()


def test_who_was_moved_stays_for_a_window() -> None:
    view, rng = returned_to(0, 10), random.Random(0)
    gradual = Gradual(window=600.0)
    home = {"a/2": 0.0}
    assert gradual.plan(view, strays(10, moved=401.0), home, POLICY, 1_000.0, rng) == ()
    assert len(gradual.plan(view, strays(10, moved=400.0), home, POLICY, 1_000.0, rng)) == 5


def test_who_never_lived_elsewhere_is_left_alone() -> None:
    view = returned_to(0, 10)
    settled = [Orphan(f"s{n}", n, "b/1") for n in range(10)]
    settled += [Orphan(f"t{n}", n, "a/2", former="a/1") for n in range(10)]
    assert Gradual().plan(view, settled, {"a/2": 0.0}, POLICY, 99.0, random.Random(0)) == ()


@given(
    home=st.integers(0, 20), away=st.integers(0, 60), rate=st.sampled_from([0.5, 20.0]),
    capacity=st.integers(1, 40), seed=seeds,
)
def test_nobody_comes_too_fast_or_makes_the_home_hot(
    home: int, away: int, rate: float, capacity: int, seed: int
) -> None:
    view = returned_to(home, away, capacity=capacity)
    policy = Policy(rate=10.0)
    plan = Gradual(rate=rate).plan(
        view, strays(away), {"a/2": 0.0}, policy, 100.0, random.Random(seed)
    )
    if plan:
        assert home + len(plan) <= min(capacity, (home + away + 1) // 2)
    times = sorted(move.at for move in plan)
    for number, later in enumerate(times[4:]):
        assert later - times[number] > 3 / min(rate, 10.0)


def test_nobody_serves_nobody_moves() -> None:
    assert Gradual().plan(View(1, ()), strays(3), {}, POLICY, 0.0, random.Random(0)) == ()
