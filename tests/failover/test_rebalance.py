"""Rebalancing: it begins late, moves little, and ends."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from math import ceil

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from balancers import Member, View
from failover import Orphan, Policy, Rebalance, Round
from tests.balancers.fleets import fleet, seeds

POLICY = Policy()


def residents(view: View) -> list[Orphan]:
    """Return a session for each connection; higher numbers are newer and busier."""
    return [
        Orphan(f"{member.id}-{n:04}", n, member.id, since=float(n), active=float(n))
        for member in view.members
        for n in range(member.connections)
    ]


def moved(view: View, sessions: list[Orphan], moves: tuple, now: float) -> tuple[View, list]:
    """Return the cluster in which the moves have been carried out."""
    to = {move.session: move.to for move in moves}
    sessions = [
        evolve(each, home=to[each.session], moved=now) if each.session in to else each
        for each in sessions
    ]
    loads = Counter(each.home for each in sessions)
    members = (evolve(member, connections=loads[member.id]) for member in view.members)
    return View(view.version + 1, tuple(members)), sessions


def until_even(rebalance: Rebalance, view: View, seed: int = 0) -> tuple[View, list[tuple]]:
    """Carry out rounds until they end; return the cluster and each round's moves."""
    sessions, rounds, now, before = residents(view), [], 0.0, Round()
    while True:
        before = rebalance.round(
            view, sessions, before, POLICY, now, random.Random(seed), is_unsettled=False
        )
        if not before.moves:
            return view, rounds
        rounds.append(before.moves)
        view, sessions = moved(view, sessions, before.moves, now)
        now = before.next_at


def distance(view: View) -> float:
    total = sum(member.connections for member in view.members)
    weight = sum(member.weight for member in view.members)
    return sum((m.connections - total * m.weight / weight) ** 2 for m in view.members)


@st.composite
def uneven(draw: st.DrawFn) -> View:
    return View(1, tuple(
        Member(
            id=f"n{number}", connections=draw(st.integers(0, 60)),
            weight=draw(st.sampled_from([1.0, 1.0, 2.0, 0.5])),
            capacity=draw(st.sampled_from([20, 60, 500])),
        )
        for number in range(draw(st.integers(1, 6)))
    ))


def one_round(rebalance: Rebalance, view: View, **more: object) -> Round:
    return rebalance.round(
        view, residents(view), more.pop("before", Round()), POLICY, more.pop("now", 0.0),  # type: ignore[arg-type]
        random.Random(0), is_unsettled=bool(more.pop("is_unsettled", False)),
    )


def test_three_to_four_is_within_a_tenth_for_a_quarter_of_the_connections() -> None:
    view, rounds = until_even(Rebalance(), fleet(1_000, 1_000, 1_000, 0))
    assert all(675 <= member.connections <= 825 for member in view.members)
    moves = [move.session for moves in rounds for move in moves]
    assert len(moves) <= 3_000 / 4
    assert len(set(moves)) == len(moves)
    assert {move.to for moves in rounds for move in moves} == {"n3"}


@given(view=uneven(), delta=st.sampled_from([0.0, 0.05, 0.5]), seed=seeds)
def test_rounds_end_and_move_no_more_than_the_excess(view: View, delta: float, seed: int) -> None:
    rebalance = Rebalance(delta=delta, begin_at=0.05, max_per_round=7)
    total = sum(member.connections for member in view.members)
    share = total / sum(member.weight for member in view.members)
    excess = sum(
        max(0, member.connections - ceil(round((1 + delta) * share * member.weight, 9)))
        for member in view.members
    )
    even, rounds = until_even(rebalance, view, seed)
    moves = [move for moves in rounds for move in moves]
    assert len(moves) <= excess
    assert len({move.session for move in moves}) == len(moves)
    before, loads = distance(view), Counter({m.id: m.connections for m in view.members})
    homes = {each.session: each.home for each in residents(view)}
    for move in moves:
        loads[homes[move.session]] -= 1
        loads[move.to] += 1
        target = view.by_id[move.to]
        assert loads[move.to] <= min(target.capacity, share * target.weight + 1e-6)
        now = sum((loads[m.id] - share * m.weight) ** 2 for m in view.members)
        assert now < before
        before = now
    for member in even.members:
        if member.connections > ceil(round((1 + delta) * share * member.weight, 9)):
            # Close enough to the average, or nobody is left who could take any.
            near = all(
                abs(m.connections - share * m.weight) <= max(1, 0.05 * share * m.weight)
                for m in even.members
            )
            full = all(
                m.connections + 1 > min(m.capacity, share * m.weight + 1e-6) for m in even.members
            )
            assert near or full


def test_rounds_begin_late_and_end_early() -> None:
    rebalance = Rebalance(begin_at=0.1, end_at=0.03)
    slightly = fleet(108, 100, 92)
    assert one_round(rebalance, slightly) == Round()
    under_way = one_round(rebalance, slightly, before=Round(is_under_way=True))
    assert under_way.moves and under_way.is_under_way
    nearly = fleet(103, 100, 97)
    assert one_round(rebalance, nearly, before=Round(is_under_way=True)) == Round()
    assert one_round(rebalance, fleet(111, 100, 89)).is_under_way


def test_a_single_connection_is_no_imbalance() -> None:
    assert one_round(Rebalance(), fleet(1, 0, 0)).moves == ()
    assert one_round(Rebalance(), fleet(0, 0)).moves == ()
    assert one_round(Rebalance(), fleet()).moves == ()


def test_nobody_moves_while_somebody_is_suspected_or_a_rollout_is_on() -> None:
    view = fleet(100, 0)
    before = Round(is_under_way=True)
    waits = one_round(Rebalance(), view, before=before, now=5.0, is_unsettled=True)
    assert waits == Round(next_at=15.0)
    assert one_round(Rebalance(), view, before=waits, now=14.9).moves == ()
    assert one_round(Rebalance(), view, before=waits, now=15.0).moves != ()


def test_a_round_waits_for_the_one_before() -> None:
    rebalance = Rebalance(shed_rate=1.0, interval=10.0, max_fraction_per_round=0.4)
    view = fleet(100, 0)
    first = one_round(rebalance, view)
    assert len(first.moves) == 40
    assert 38.0 <= first.next_at == max(move.at for move in first.moves)
    assert one_round(rebalance, view, before=first, now=38.0) == evolve(first, moves=())
    quick = one_round(Rebalance(shed_rate=1e6, interval=10.0), view)
    assert quick.next_at == 10.0


@pytest.mark.parametrize(("options", "most"), [
    ({"max_per_round": 5}, 5), ({"max_fraction_per_round": 0.2}, 40),
    ({"max_per_round": 30, "max_fraction_per_round": 0.5}, 30),
    ({"max_fraction_per_round": 0.001}, 1),
])
def test_a_round_is_limited_in_number_and_share(options: dict, most: int) -> None:
    assert len(one_round(Rebalance(**options), fleet(200, 0)).moves) == most


def test_members_give_and_take_at_their_rates() -> None:
    view = fleet(200, 200, 0)
    policy = Policy(rate=15.0)
    begun = Rebalance(shed_rate=10.0, max_fraction_per_round=1.0).round(
        view, residents(view), Round(), policy, 0.0, random.Random(0), is_unsettled=False
    )
    for name, rate in (("n0", 10.0), ("n1", 10.0), ("", 15.0)):
        times = sorted(move.at for move in begun.moves if move.session.startswith(name))
        assert len(times) > 50
        for number, at in enumerate(times):
            assert bisect_left(times, at + 5 / rate) - number <= 6


@pytest.mark.parametrize(("first", "expected"), [("newest", "9"), ("idlest", "0")])
def test_the_newest_or_the_idlest_go(first: str, expected: str) -> None:
    view = fleet(10, 0)
    moves = one_round(Rebalance(first=first, max_per_round=1), view).moves  # type: ignore[arg-type]
    assert [move.session[-1] for move in moves] == [expected]


def test_nobody_moves_twice_in_a_window() -> None:
    view, rng = fleet(10, 0), random.Random(0)
    sessions = [evolve(each, moved=401.0) for each in residents(view)]
    rebalance = Rebalance(window=600.0)
    assert not rebalance.round(
        view, sessions, Round(), POLICY, 1_000.0, rng, is_unsettled=False
    ).moves
    assert rebalance.round(view, sessions, Round(), POLICY, 1_001.0, rng, is_unsettled=False).moves


def test_members_that_drain_take_no_part() -> None:
    view = View(1, (
        Member(id="n0", connections=90), Member(id="n1", connections=90),
        Member(id="n2", is_accepting=False),
    ))
    assert one_round(Rebalance(), view).moves == ()


def test_rounds_do_not_end_before_they_begin() -> None:
    with pytest.raises(ValueError, match="end_at"):
        Rebalance(begin_at=0.1, end_at=0.2)
