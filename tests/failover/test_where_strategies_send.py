"""Where each strategy sends orphans, and what it promises about that."""

from __future__ import annotations

import random
from collections import Counter
from math import ceil

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from balancers import STRATEGIES as BALANCERS
from balancers import Member, View
from failover import (
    Orphan,
    Policy,
    ReplicaSpec,
    SpreadSpec,
    StandbySpec,
    SuccessorSpec,
    WaitThenRedispatchSpec,
)
from tests.balancers.fleets import fleet, seeds

RING = BALANCERS["ring_hash"]()
P2C = BALANCERS["p2c"]()
POLICY = Policy()


def lost_by(home: str, count: int, **more: object) -> list[Orphan]:
    keys = random.Random(7)
    return [Orphan(f"s{n}", keys.getrandbits(64), home, **more) for n in range(count)]  # type: ignore[arg-type]


def weighted(*weights: float) -> View:
    """Return members with these weights, the first without a connection and the others busy."""
    return View(1, tuple(
        Member(id=f"n{number}", weight=weight, connections=100 if number else 0)
        for number, weight in enumerate(weights)
    ))


@pytest.mark.parametrize("balancer", ["ring_hash", "rendezvous"])
def test_the_successor_is_the_second_in_the_rank_of_the_balancer(balancer: str) -> None:
    spec = BALANCERS[balancer]()
    whole = fleet(0, 0, 0, 0, 0)
    ranking = spec.build(random.Random(0), lambda: 0.0)
    orphans = [
        evolve(orphan, home=ranking.rank(orphan.key, whole)[0].id) for orphan in lost_by("", 50)
    ]
    for orphan in orphans:
        plan = SuccessorSpec().build(spec).plan(
            whole.without(orphan.home), [orphan], POLICY, 0.0, random.Random(2)
        )
        assert plan[0].to == ranking.rank(orphan.key, whole)[1].id


@pytest.mark.parametrize("balancer", sorted(BALANCERS))
@given(order=st.randoms(), seed=seeds)
def test_everybody_computes_the_same_successors(
    balancer: str, order: random.Random, seed: int
) -> None:
    orphans = lost_by("gone/1", 60)
    shuffled = orphans[:]
    order.shuffle(shuffled)
    view = fleet(5, 0, 90, 3, capacity=100)
    # Another router: it has other reports (but nobody is full), another seed, another order.
    other = fleet(9, 4, 0, 70, capacity=100)
    strategy = SuccessorSpec().build(BALANCERS[balancer]())
    ours = strategy.plan(view, orphans, POLICY, 0.0, random.Random(0))
    theirs = SuccessorSpec().build(BALANCERS[balancer]()).plan(
        other, shuffled, POLICY, 9.0, random.Random(seed)
    )
    targets = {move.session: move.to for move in ours}
    room = all(count <= 10 for count in Counter(targets.values()).values())
    assert room is False or targets == {move.session: move.to for move in theirs}
    again = strategy.plan(view, shuffled, POLICY, 0.0, random.Random(seed))
    assert targets == {move.session: move.to for move in again}


@pytest.mark.parametrize("spec", [SuccessorSpec(), SpreadSpec(), SuccessorSpec(herd_factor=1.1)])
@given(
    count=st.integers(1, 80),
    weights=st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=1, max_size=6),
)
def test_no_survivor_gets_more_than_its_bound(
    spec: SuccessorSpec | SpreadSpec, count: int, weights: list[float]
) -> None:
    view = weighted(*weights)
    plan = spec.build(RING).plan(view, lost_by("gone", count), POLICY, 0.0, random.Random(0))
    assert len(plan) == count
    for member, arrived in Counter(move.to for move in plan).items():
        share = count * view.by_id[member].weight / sum(weights)
        assert arrived <= ceil(round(spec.herd_factor * share, 9))


@given(
    loads=st.lists(st.integers(0, 30), min_size=2, max_size=6), count=st.integers(1, 60), seed=seeds
)
def test_spread_fills_the_least_loaded(loads: list[int], count: int, seed: int) -> None:
    view = fleet(*loads)
    wide = SpreadSpec(herd_factor=1000.0).build(P2C)
    plan = wide.plan(view, lost_by("gone", count), POLICY, 0.0, random.Random(seed))
    after = Counter({member.id: member.connections for member in view.members})
    after.update(move.to for move in plan)
    got = {move.to for move in plan}
    assert max(after[name] for name in got) <= min(after.values()) + 1


def test_spread_goes_past_its_bound_when_nobody_else_has_room() -> None:
    view = View(1, (Member(id="n0"), Member(id="n1", capacity=1), Member(id="n2")))
    lost = lost_by("n2", 9)
    plan = SpreadSpec(herd_factor=1.0).build(P2C).plan(view, lost, POLICY, 0.0, random.Random(0))
    assert Counter(move.to for move in plan) == {"n0": 8, "n1": 1}


def test_spread_breaks_ties_by_chance() -> None:
    spread = SpreadSpec().build(P2C)
    first = {
        spread.plan(fleet(0, 0, 0), lost_by("x", 1), POLICY, 0.0, random.Random(seed))[0].to
        for seed in range(40)
    }
    assert first == {"n0", "n1", "n2"}  # Fails with less than 3 * (2/3)**40 = 3e-7 by chance.


@pytest.mark.parametrize("balancer", ["ring_hash", "rendezvous", "p2c", "bounded_load", "maglev"])
@pytest.mark.parametrize("dead", ["n0", "n3"])
def test_a_replica_is_where_it_was_named_in_advance(balancer: str, dead: str) -> None:
    whole = fleet(10, 20, 30, 40)
    replica = ReplicaSpec().build(BALANCERS[balancer]())
    sessions = lost_by(dead, 60)
    named = replica.standbys(whole, sessions)
    assert set(named.values()) == {member.id for member in whole.members} - {dead}
    plan = replica.plan(whole.without(dead), sessions, POLICY, 0.0, random.Random(3))
    assert {move.session: move.to for move in plan} == named


def test_a_session_goes_to_its_copy_though_somebody_better_has_come_since() -> None:
    replica = ReplicaSpec().build(RING)
    sessions = lost_by("gone", 40, replica="n1")
    plan = replica.plan(fleet(0, 0, 0), sessions, POLICY, 0.0, random.Random(0))
    assert {(move.to, move.reason) for move in plan} == {("n1", "replica")}
    without = replica.plan(fleet(0), sessions, POLICY, 0.0, random.Random(0))
    assert {(move.to, move.reason) for move in without} == {("n0", "successor")}


def test_without_anybody_eligible_nobody_holds_a_copy() -> None:
    assert ReplicaSpec().build(P2C).standbys(fleet(0), lost_by("n0", 2)) == {}


def spare_and_two(capacity: int = 100) -> View:
    return View(1, (
        Member(id="a", connections=5), Member(id="b", connections=5),
        Member(id="s", zone="spare", connections=1, capacity=capacity), Member(id="t"),
    ))


def test_spares_take_orphans_first() -> None:
    standby = StandbySpec(zone="spare").build(P2C)
    plan = standby.plan(spare_and_two(), lost_by("x", 50), POLICY, 0.0, random.Random(0))
    assert {(move.to, move.reason) for move in plan} == {("s", "spare")}


def test_what_spares_have_no_room_for_goes_to_the_others() -> None:
    standby = StandbySpec(zone="spare").build(P2C)
    plan = standby.plan(spare_and_two(11), lost_by("x", 50), POLICY, 0.0, random.Random(0))
    arrived = Counter(move.to for move in plan)
    assert arrived["s"] == 10
    assert arrived.total() == 50


def test_without_a_zone_the_idle_are_spares() -> None:
    plan = StandbySpec().build(P2C).plan(
        spare_and_two(), lost_by("x", 50), POLICY, 0.0, random.Random(0)
    )
    assert {move.to for move in plan} == {"t"}


def test_a_spare_takes_no_more_than_it_can_in_time() -> None:
    standby = StandbySpec(zone="spare").build(P2C)
    policy = Policy(rate=10.0, within=2.0)
    plan = standby.plan(spare_and_two(), lost_by("x", 50), policy, 0.0, random.Random(0))
    assert Counter(move.to for move in plan)["s"] == 20
    alone = View(1, (Member(id="s", zone="spare"),))
    plan = standby.plan(alone, lost_by("x", 50), policy, 0.0, random.Random(0))
    assert Counter(move.to for move in plan) == {"s": 50}
    assert max(move.at for move in plan) <= 2.0


def test_orphans_wait_for_their_home() -> None:
    waiting = WaitThenRedispatchSpec(grace=8.0).build(P2C)
    plan = waiting.plan(fleet(0, 0), lost_by("x/1", 9), POLICY, 100.0, random.Random(0))
    assert min(move.at for move in plan) >= 108.0
    later = waiting.plan(fleet(0), lost_by("x/1", 9, lost=97.0), POLICY, 100.0, random.Random(0))
    assert 105.0 <= min(move.at for move in later) <= 105.02
    over = waiting.plan(fleet(0), lost_by("x/1", 9, lost=91.0), POLICY, 100.0, random.Random(0))
    assert min(move.at for move in over) <= 100.02


def test_orphans_go_back_at_once_when_their_home_is_back() -> None:
    waiting = WaitThenRedispatchSpec(grace=8.0).build(P2C)
    view = View(1, (Member(id="x/2", capacity=5), Member(id="y/1")))
    plan = waiting.plan(view, lost_by("x/1", 9), POLICY, 100.0, random.Random(0))
    back = [move for move in plan if move.reason == "returned"]
    assert [move.to for move in back] == ["x/2"] * 5
    assert max(move.at for move in back) < 101.0
    assert {(move.to, move.at >= 108.0) for move in plan if move not in back} == {("y/1", True)}


def test_a_wait_gives_way_before_a_rate_does() -> None:
    waiting = WaitThenRedispatchSpec(grace=60.0).build(P2C)
    policy = Policy(rate=10.0, within=5.0)
    plan = waiting.plan(fleet(0), lost_by("x/1", 30), policy, 0.0, random.Random(0))
    times = sorted(move.at for move in plan)
    assert 2.0 <= times[0]
    assert times[-1] <= 5.0
    assert all(later - first > 0.8 for first, later in zip(times, times[10:], strict=False))
