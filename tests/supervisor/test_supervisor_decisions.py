"""When a process is killed, when it starts again, and when the supervisor gives up."""

from __future__ import annotations

import math

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.supervisor.pretend_machine import RULES
from wsmesh.supervisor.affinity import core_of
from wsmesh.supervisor.backoff import wait_after
from wsmesh.supervisor.giving_up import Standing, find_loss
from wsmesh.supervisor.life import AT_ONCE, REFUSES, Life, Phase

chances = st.floats(0, 1)
quarters = st.integers(0, 400).map(lambda n: n / 4)


def a_life(chance: float = 1.0) -> Life:
    return Life(rules=RULES, stop_within=40, chance=lambda: chance)


@given(st.integers(1, 10_000), st.floats(0.001, 100), st.floats(0, 1000), chances)
def test_a_wait_is_never_below_half_of_its_bound_nor_above_the_ceiling(
    failures, first, longest, chance
):
    bound = min(max(first, longest), first * 2.0 ** min(failures - 1, 60))

    wait = wait_after(failures, first, longest, chance)

    assert bound / 2 <= wait <= bound


def test_waits_double_up_to_the_ceiling():
    assert [wait_after(n, 0.5, 30, 1.0) for n in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


@given(st.lists(st.sampled_from(range(64)), min_size=1, unique=True), st.integers(1, 40))
def test_nodes_are_spread_over_the_cores_as_evenly_as_can_be(cores, count):
    taken = [core_of(number, cores) for number in range(1, count + 1)]

    shares = [taken.count(core) for core in cores]
    assert set(taken) <= set(cores)
    assert max(shares) - min(shares) <= 1


@given(st.lists(quarters, max_size=20), quarters)
def test_it_is_hung_exactly_when_it_was_silent_for_the_timeout(gaps, silence):
    life, now = a_life(), 0.0
    life.start(now)
    life.hear(now, leaving=False)
    for gap in gaps:
        step = gap % RULES.hang_timeout
        now += step
        assert not life.overdue(now)
        life.hear(now, leaving=False)

    assert bool(life.overdue(now + silence)) == (silence >= RULES.hang_timeout)


def test_a_start_has_a_longer_time_than_a_silence():
    life = a_life()
    life.start(5)

    assert not life.overdue(34.75)
    assert life.overdue(35) == "did not report within 30 s"


def test_who_was_told_to_stop_may_be_silent_until_its_time_is_over():
    life = a_life()
    life.start(0)
    life.hear(1, leaving=False)
    life.ask_to_stop(2)
    life.hear(3, leaving=True)

    assert life.phase is Phase.STOPPING
    assert not life.overdue(41.75)
    assert life.overdue(42) == "did not stop within 40 s"
    life.ask_to_stop(10)
    assert life.overdue(10 + AT_ONCE)
    life.ask_to_stop(12)
    assert life.overdue(10 + AT_ONCE), "asking again gives no further time"


def test_who_drains_by_itself_may_be_silent_and_has_not_failed():
    life = a_life()
    life.start(0)
    life.hear(1, leaving=False)
    life.hear(2, leaving=True)
    life.hear(3, leaving=True)

    assert life.phase is Phase.LEAVING
    assert not life.overdue(41.75)
    assert life.overdue(42)
    assert life.end(10, 0) == RULES.restart_backoff
    assert life.failures == 0


def test_a_supervisor_that_slept_blames_nobody():
    life = a_life()
    life.start(0)
    life.hear(1, leaving=False)
    life.excuse(10)

    assert not life.overdue(12.75)
    assert life.overdue(13)


@given(st.lists(st.tuples(quarters, st.sampled_from([0, 1, -9, 2])), max_size=40), chances)
def test_failures_are_counted_in_a_row_and_forgotten_after_a_minute_of_health(lives, chance):
    life, now, in_a_row = a_life(chance), 0.0, 0
    for served_for, status in lives:
        life.start(now)
        life.hear(now + 1, leaving=False)
        now += 1 + served_for
        in_a_row = 1 if served_for >= RULES.healthy_after else in_a_row + 1

        wait = life.end(now, status)

        assert life.failures == in_a_row
        assert wait == wait_after(in_a_row, 0.5, 30, chance)
        assert life.is_hopeless == (in_a_row >= RULES.give_up_after)
        assert life.deadline == math.inf
        assert not life.is_running
        now = math.ceil(now + wait)  # on the grid, where the boundary is exact


def test_stopping_is_no_failure_and_waits_for_nothing():
    life = a_life()
    life.start(0)
    life.ask_to_stop(1)

    assert life.end(2, -15) == 0
    assert life.failures == 0
    life.ask_to_stop(3)
    assert life.phase is Phase.WAITING


def test_a_refused_configuration_is_hopeless_only_before_it_ever_worked():
    life = a_life()
    life.start(0)
    life.end(1, REFUSES)
    assert life.refuses
    assert life.is_hopeless
    life.start(2)
    life.hear(3, leaving=False)
    life.end(4, REFUSES)

    assert not life.refuses
    assert not life.is_hopeless


def standing(name: str, **changes: object) -> Standing:
    plain = Standing(
        name=name, is_gateway=False, is_hopeless=False, failures=0, is_running=True
    )
    return evolve(plain, **changes)


DEAD = {"is_hopeless": True, "is_running": False, "failures": 10}


@pytest.mark.parametrize(
    ("processes", "was_complete", "outage", "name"),
    [
        ([standing("a"), standing("b")], True, 0, None),
        ([standing("a"), standing("b", **DEAD)], True, 0, None),
        ([standing("a"), standing("b", **DEAD)], False, 0, "b"),
        ([standing("a", **DEAD), standing("b", **DEAD)], True, 0, "a"),
        ([standing("g", is_gateway=True, **DEAD), standing("a")], True, 0, "g"),
        ([standing("g", is_gateway=True), standing("a", **DEAD)], True, 0, "a"),
        ([standing("a", is_running=False), standing("b", **DEAD)], True, 59, None),
        ([standing("a", is_running=False), standing("b", **DEAD)], True, 60, "b"),
        ([standing("a")], True, 60, None),
        ([standing("g", is_gateway=True)], True, 1000, None),
        ([], False, 1000, None),
    ],
)
def test_it_gives_up_only_when_nobody_can_be_served(processes, was_complete, outage, name):
    loss = find_loss(processes, was_complete=was_complete, outage=outage, rules=RULES)

    assert (loss and loss.name) == name


def test_the_reason_counts():
    def reason(failures: int) -> str:
        dead = standing("a", **DEAD | {"failures": failures})
        loss = find_loss([dead], was_complete=True, outage=0, rules=RULES)
        assert loss is not None
        return loss.reason

    assert reason(1) == "a failed once"
    assert reason(10) == "a failed 10 times in a row"
