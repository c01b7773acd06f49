"""A node that drains sends its clients away at a rate, and in time."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from balancers import Member, View
from wsmesh.config.sections import Config
from wsmesh.departures import LONGEST_WINDOW, PLANNED_SHARE, departures, return_window

OWN = Member(id="a/1", capacity=10_000, connections=5_000)
EMPTY = View(0, ())


def configured(**failover: Any) -> Config:
    return evolve(Config(), failover=evolve(Config().failover, **failover))


def view(*rooms: int) -> View:
    others = (Member(id=f"n{n}/1", capacity=room) for n, room in enumerate(rooms))
    return View(1, (OWN, *others))


def planned(config: Config, seen: View, count: int, within: float) -> list[tuple[float, str]]:
    members = {member.id for member in seen.members} - {OWN.id}
    clients = [f"c{number}" for number in range(count)]
    found = departures(config, seen, OWN.id, clients, within, random.Random(1))
    assert sorted(each.client for each in found) == sorted(clients), "each is told once"
    assert [each.at for each in found] == sorted(each.at for each in found)
    assert {each.to for each in found} <= members | {""}, "nobody is sent back here"
    return [(each.at, each.client) for each in found]


@given(
    rooms=st.lists(st.integers(0, 200), max_size=3), count=st.integers(0, 120),
    within=st.sampled_from([0.5, 3.0, 60.0]), leave=st.sampled_from([5.0, 50.0, 1000.0]),
    accept=st.sampled_from([2.0, 40.0]),
)
def test_everybody_is_told_once_in_time_and_no_faster_than_need_be(
    rooms: list[int], count: int, within: float, leave: float, accept: float
) -> None:
    config = configured(leave_rate=leave, accept_rate=accept)
    found = planned(config, view(*rooms) if rooms else EMPTY, count, within)
    deadline = PLANNED_SHARE * within
    assert all(0 <= at <= deadline + 1e-6 for at, _ in found)
    if rooms and min(rooms) >= count and count / min(leave, accept) <= deadline:
        # Nobody is told by lack of room, and rates need not give way.
        counts = Counter(int(at) for at, _ in found)
        assert all(each <= leave + 2 for each in counts.values())


def test_a_node_alone_lets_its_clients_go_evenly() -> None:
    found = planned(configured(leave_rate=10.0), EMPTY, 20, 60.0)
    assert [at for at, _ in found] == pytest.approx([number / 10 for number in range(20)])


def test_the_deadline_is_stronger_than_the_rate() -> None:
    found = planned(configured(leave_rate=1.0), EMPTY, 100, 10.0)
    assert found[-1][0] < 10.0 * PLANNED_SHARE


def test_other_nodes_are_sent_no_more_than_they_take() -> None:
    found = planned(configured(leave_rate=1000.0, accept_rate=10.0), view(500, 500), 100, 60.0)
    assert 4.0 <= found[-1][0] <= 6.0, "100 clients, two nodes, ten a second each"


def test_without_time_all_are_told_at_once() -> None:
    assert planned(configured(), view(500), 3, 0.0) == [(0.0, "c0"), (0.0, "c1"), (0.0, "c2")]


@pytest.mark.parametrize("strategy", ["redispatch", "spread", "successor", "standby"])
def test_every_strategy_plans_a_drain(strategy: str) -> None:
    assert planned(configured(strategy=strategy), view(500, 500), 50, 30.0)


def test_where_there_is_room_everybody_is_told_where_to_go() -> None:
    clients = [f"c{number}" for number in range(100)]
    found = departures(configured(), view(500, 500), OWN.id, clients, 60.0, random.Random(1))
    assert {each.to for each in found} == {"n0/1", "n1/1"}


@pytest.mark.parametrize(
    ("others", "clients", "window"),
    [(0, 1000, 10.0), (1, 1000, 10.0), (2, 1000, 5.0), (4, 10, 0.025), (1, 10**6, LONGEST_WINDOW)],
)
def test_clients_of_a_lost_node_are_back_when_the_others_could_take_them(
    others: int, clients: int, window: float
) -> None:
    assert return_window(view(*[10_000] * others), OWN.id, clients, 100.0) == window


def test_nodes_that_take_nobody_make_the_window_no_shorter() -> None:
    drains = evolve(view(500, 500).members[1], is_accepting=False)
    seen = View(2, (OWN, drains, view(500, 500).members[2]))
    assert return_window(seen, OWN.id, 1000, 100.0) == 10.0
