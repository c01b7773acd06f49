"""Revoked users and tokens stay revoked until the time that was said, within bounded memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wsmesh.security.revocation import Revocations, RevocationsFull


def test_a_user_is_refused_with_tokens_from_before_and_not_with_newer_ones():
    revocations = Revocations()
    revocations.revoke_user("42", issued_before=100.0, until=500.0, now=100.0)
    assert revocations.is_revoked("42", "", "", 99.9, 100.0)
    assert not revocations.is_revoked("42", "", "", 100.0, 100.0)
    assert revocations.is_revoked("42", "", "", None, 100.0)
    assert not revocations.is_revoked("43", "", "", 99.9, 100.0)
    assert not revocations.is_revoked("42", "", "", 99.9, 500.0)


def test_a_token_is_refused_by_its_jti_and_issuer():
    revocations = Revocations()
    revocations.revoke_token("t1", until=500.0, now=100.0, iss="a")
    assert revocations.is_revoked("42", "t1", "a", 300.0, 100.0)
    assert not revocations.is_revoked("42", "t1", "b", 300.0, 100.0)
    revocations.revoke_token("t2", until=500.0, now=100.0)
    assert revocations.is_revoked("42", "t2", "b", 300.0, 100.0)
    assert not revocations.is_revoked("42", "t2", "b", 300.0, 500.0)


def test_names_of_users_and_tokens_do_not_mix():
    revocations = Revocations()
    revocations.revoke_token("42", until=500.0, now=0.0)
    assert not revocations.is_revoked("42", "", "", None, 0.0)
    with pytest.raises(ValueError, match="jti"):
        revocations.revoke_token("", until=500.0, now=0.0)


def test_a_later_revocation_never_weakens_an_earlier_one():
    revocations = Revocations()
    revocations.revoke_user("42", issued_before=200.0, until=500.0, now=0.0)
    revocations.revoke_user("42", issued_before=100.0, until=400.0, now=0.0)
    assert revocations.is_revoked("42", "", "", 150.0, 450.0)


def test_a_full_list_refuses_loudly_and_takes_new_ones_when_old_ones_end():
    revocations = Revocations(capacity=2)
    revocations.revoke_token("a", until=10.0, now=0.0)
    revocations.revoke_token("b", until=20.0, now=0.0)
    with pytest.raises(RevocationsFull):
        revocations.revoke_token("c", until=30.0, now=9.9)
    revocations.revoke_token("b", until=40.0, now=9.9)
    revocations.revoke_token("c", until=30.0, now=10.0)
    assert [revocations.is_revoked("", t, "", None, 25.0) for t in "abc"] == [False, True, True]


def test_prolonging_one_revocation_takes_no_more_memory():
    revocations = Revocations()
    tracemalloc.start()
    for n in range(20_000):
        revocations.revoke_user("42", issued_before=n, until=1000.0 + n, now=0.0)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20_000
    assert revocations.is_revoked("42", "", "", 0.0, 20_998.0)


class RevocationsAgainstModel(RuleBasedStateMachine):
    """Compared with a plain list of everything that was ever said."""

    users = st.sampled_from(["", "u", "v"])
    tokens = st.sampled_from(["t", "u", "w"])
    issuers = st.sampled_from(["", "i", "j"])
    times = st.integers(0, 12)

    def __init__(self):
        super().__init__()
        self.now = 0
        self.revocations = Revocations(capacity=6)
        self.said = {}

    def in_force(self):
        return {k: v for k, v in self.said.items() if v[1] > self.now}

    def say(self, key, before, until):
        if until <= self.now:
            return
        known = self.in_force().get(key, (before, until))
        self.said[key] = (max(before, known[0]), max(until, known[1]))

    def has_room(self, key):
        return key in self.in_force() or len(self.in_force()) < 6

    @rule(user=users, before=times, lasting=times)
    def user_revoked(self, user, before, lasting):
        if self.has_room(("user", user)):
            self.revocations.revoke_user(user, before, self.now + lasting, now=self.now)
            self.say(("user", user), before, self.now + lasting)

    @rule(jti=tokens, iss=issuers, lasting=times)
    def token_revoked(self, jti, iss, lasting):
        if self.has_room((jti, iss)):
            self.revocations.revoke_token(jti, self.now + lasting, now=self.now, iss=iss)
            self.say((jti, iss), float("inf"), self.now + lasting)

    @rule(jti=st.sampled_from(["x", "y"]))
    @precondition(lambda self: len(self.in_force()) == 6)
    def one_too_many(self, jti):
        with pytest.raises(RevocationsFull):
            self.revocations.revoke_token(jti, self.now + 5, now=self.now)

    @rule(seconds=st.integers(1, 6))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(user=users, jti=tokens | st.just(""), iss=issuers, issued=times | st.none())
    def asked(self, user, jti, iss, issued):
        said = self.in_force()
        by_user = ("user", user) in said and (issued is None or issued < said["user", user][0])
        by_token = bool(jti) and ((jti, iss) in said or (jti, "") in said)
        assert self.revocations.is_revoked(user, jti, iss, issued, self.now) == (
            by_user or by_token
        )

    @invariant()
    def memory_is_bounded(self):
        assert len(self.revocations) <= 6


RevocationsAgainstModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
TestRevocationsAgainstModel = RevocationsAgainstModel.TestCase
