"""Verdicts and what a node may do without the store."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.cluster.nodes import Identity
from wsmesh.cluster.verdicts import (
    Accusations,
    Duty,
    Evidence,
    StoreLoss,
    judge,
    on_store_loss,
)

A, B, C, X = (Identity(name, 1) for name in "abcx")

EVIDENCE = st.builds(
    Evidence,
    accusers=st.integers(0, 4),
    others=st.integers(0, 6),
    is_refused=st.booleans(),
    is_expired=st.booleans(),
)


@given(evidence=EVIDENCE, needed=st.integers(1, 3))
def test_nobody_dies_without_an_accuser_and_one_is_too_few_without_a_sign(evidence, needed):
    is_dead = judge(evidence, needed)
    if evidence.accusers == 0:
        assert not is_dead
    if is_dead and evidence.accusers < needed:
        assert evidence.is_refused or evidence.is_expired
        assert (evidence.is_refused and evidence.is_expired) or evidence.others <= 1


@pytest.mark.parametrize(
    ("evidence", "is_dead"),
    [
        (Evidence(accusers=2, others=5), True),
        (Evidence(accusers=1, others=5), False),
        (Evidence(accusers=1, others=5, is_refused=True), False),
        (Evidence(accusers=1, others=5, is_expired=True), False),
        (Evidence(accusers=1, others=5, is_refused=True, is_expired=True), True),
        (Evidence(accusers=1, others=1), False),
        (Evidence(accusers=1, others=1, is_refused=True), True),
        (Evidence(accusers=1, others=1, is_expired=True), True),
        (Evidence(accusers=1, others=2, is_expired=True), False),
        (Evidence(accusers=0, others=0, is_refused=True, is_expired=True), False),
    ],
)
def test_two_accusers_are_a_verdict_and_one_with_enough_signs(evidence, is_dead):
    assert judge(evidence, 2) is is_dead


def test_accusers_are_counted_once_each_and_only_within_the_window():
    accusations = Accusations(window=3.0)
    assert accusations.accuse(X, A, 10.0) == 1
    assert accusations.accuse(X, A, 11.0) == 1
    assert accusations.accuse(X, B, 12.0) == 2
    assert accusations.accusers(X, 14.0) == {A, B}
    assert accusations.accusers(X, 14.5) == {B}
    assert accusations.accusers(X, 15.5) == frozenset()


def test_an_accusation_counts_against_the_one_incarnation_only():
    accusations = Accusations(window=3.0)
    accusations.accuse(Identity("x", 1), A, 0.0)
    assert accusations.accuse(Identity("x", 2), B, 0.0) == 1


def test_nobody_accuses_itself():
    assert Accusations(window=3.0).accuse(X, X, 0.0) == 0


def test_accusations_are_withdrawn_and_those_of_the_dead_do_not_count():
    accusations = Accusations(window=3.0)
    accusations.absolve(X, A)
    for accuser in (A, B, C):
        accusations.accuse(X, accuser, 0.0)
    accusations.absolve(X, A)
    accusations.forget(B)
    assert accusations.accusers(X, 0.0) == {C}
    accusations.forget(X)
    assert accusations.accusers(X, 0.0) == frozenset()


LOSS = {"lease": 15.0, "cluster_size": 5}


@pytest.mark.parametrize("policy", StoreLoss)
@pytest.mark.parametrize("peers", [0, 4])
def test_while_its_lease_runs_a_node_serves(policy, peers):
    assert on_store_loss(policy, lease_age=14.9, peers=peers, **LOSS) is Duty.SERVE


@pytest.mark.parametrize("peers", range(5))
def test_afterwards_the_policy_decides(peers):
    duties = {
        policy: on_store_loss(policy, lease_age=15.0, peers=peers, **LOSS) for policy in StoreLoss
    }
    assert duties[StoreLoss.KEEP_SERVING] is Duty.SERVE_NO_CLAIMS
    assert duties[StoreLoss.FENCE] is Duty.FENCE
    expected = Duty.SERVE_NO_CLAIMS if peers >= 2 else Duty.FENCE
    assert duties[StoreLoss.LEASE_MAJORITY] is expected


@given(size=st.integers(1, 50), data=st.data())
def test_of_two_sides_that_do_not_see_each_other_at_most_one_goes_on(size, data):
    one_side = data.draw(st.integers(0, size))
    sides = [side for side in (one_side, size - one_side) if side > 0]
    going_on = [
        side
        for side in sides
        if on_store_loss(
            StoreLoss.LEASE_MAJORITY, lease=15.0, lease_age=99.0, peers=side - 1, cluster_size=size
        )
        is not Duty.FENCE
    ]
    assert len(going_on) <= 1
    assert len(sides) > 1 or going_on == [size]
