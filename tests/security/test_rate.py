"""GCRA admits a burst, then the rate, and remembers only so many keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.security.rate import GCRA, SLACK, Rate, RateLimiter, gcra


@given(
    per_second=st.sampled_from([0.1, 1.0, 3.0, 10.0, 100.0, 3000.0]),
    burst=st.sampled_from([1, 2, 20, 3000]),
    start=st.floats(0.0, 1e7),
)
def test_exactly_a_burst_passes_at_once_whatever_the_clock_says(per_second, burst, start):
    limit = GCRA(Rate(per_second, burst))
    assert all(limit.admit(start) == 0.0 for _ in range(burst))
    wait = limit.admit(start)
    assert 0.0 < wait <= 1.0 / per_second


@given(
    burst=st.integers(1, 5),
    waits=st.lists(st.integers(0, 12).map(lambda quarters: quarters / 4), max_size=60),
)
def test_it_is_a_token_bucket(burst, waits):
    limit = GCRA(Rate(1.0, burst))
    now, tokens = 100.0, burst + SLACK
    for wait in waits:
        now += wait
        tokens = min(burst + SLACK, tokens + wait)
        admitted = limit.admit(now) == 0.0
        assert admitted == (tokens >= 1.0)
        tokens -= admitted


@given(st.lists(st.floats(0.0, 3.0), max_size=50), st.floats(0.5, 20.0), st.integers(1, 10))
def test_what_was_told_to_wait_is_admitted_after_the_wait(gaps, per_second, burst):
    limit = GCRA(Rate(per_second, burst))
    now = 1000.0
    for gap in gaps:
        now += gap
        wait = limit.admit(now)
        if wait:
            assert limit.admit(now + wait * 0.5) > 0.0
            now += wait + 1e-9
            assert limit.admit(now) == 0.0


def test_the_function_and_the_object_are_one_rule():
    rate, limit, tat = Rate(10.0, 3), GCRA(Rate(10.0, 3)), 0.0
    for now in (5.0, 5.0, 5.01, 5.02, 5.1, 5.3, 9.0):
        verdict = gcra(tat, now, rate.interval, rate.tolerance)
        assert (0.0 if verdict > 0 else -verdict) == limit.admit(now)
        tat = verdict if verdict > 0 else tat


def test_over_a_long_time_the_rate_holds():
    limit = GCRA(Rate(100.0, 200))
    admitted = sum(limit.admit(50.0 + n / 1000) == 0.0 for n in range(60_000))
    assert 6_199 <= admitted <= 6_201


@pytest.mark.parametrize(("per_second", "burst"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_a_rate_without_meaning_is_refused(per_second, burst):
    with pytest.raises(ValueError, match="expected"):
        Rate(per_second, burst)


def test_keys_do_not_share_a_rate():
    limiter = RateLimiter(1.0, 1)
    assert limiter.admit("a", 10.0) == 0.0
    assert limiter.admit("b", 10.0) == 0.0
    assert 0.9 < limiter.admit("a", 10.0) <= 1.0


def test_the_keys_admitted_last_are_remembered_and_no_others():
    limiter = RateLimiter(0.001, 1, capacity=3)
    for key in "abc":
        assert limiter.admit(key, 10.0) == 0.0
    assert limiter.admit("a", 10.0) > 0.0
    assert limiter.admit("d", 10.0) == 0.0
    assert len(limiter) == 3
    assert limiter.admit("b", 10.0) > 0.0 and limiter.admit("c", 10.0) > 0.0
    assert limiter.admit("a", 10.0) == 0.0, "the oldest was forgotten for d"


def test_a_key_that_is_used_outlives_one_that_is_not():
    limiter = RateLimiter(1.0, 2, capacity=2)
    for key, now in [("a", 10.0), ("b", 10.0), ("b", 10.0), ("a", 10.0), ("c", 10.0)]:
        assert limiter.admit(key, now) == 0.0
    assert limiter.admit("a", 10.0) > 0.0
    assert limiter.admit("b", 10.0) == 0.0, "b was forgotten for c"


def test_a_flood_of_keys_does_not_grow_memory():
    limiter = RateLimiter(1.0, 5, capacity=1000)
    for n in range(20_000):
        limiter.admit(str(n), 10.0 + n / 1000)
    assert len(limiter) == 1000
