"""Those who are refused get a moment each, and who comes back is let in first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.config.sections import LimitsSection
from wsmesh.security.admission import Admission
from wsmesh.security.rate import Turns

LIMITS = LimitsSection(
    accept_rate=100.0, accept_burst=40, connects_per_ip=1e6, connects_per_ip_burst=10**6,
    max_connections_per_ip=10**6,
)


@given(
    gaps=st.lists(st.floats(0, 0.5), min_size=1, max_size=60), wait=st.floats(0, 5),
    interval=st.floats(0.001, 1.0),
)
def test_no_two_turns_are_closer_than_the_interval(
    gaps: list[float], wait: float, interval: float
) -> None:
    turns, now, moments = Turns(longest=1e6), 100.0, []
    for gap in gaps:
        now += gap
        after = turns.take(now, wait, interval)
        assert after >= wait - 1e-9, "nobody comes before it makes sense"
        moments.append(now + after)
    assert all(
        later - earlier >= interval - 1e-9
        for earlier, later in zip(moments, moments[1:], strict=False)
    )


def test_nobody_waits_longer_than_the_longest() -> None:
    turns = Turns(longest=2.0)
    assert max(turns.take(0.0, 0.0, 0.5) for _ in range(100)) == 2.0


def test_a_herd_is_told_to_come_at_the_rate_of_the_node() -> None:
    admission = Admission(LIMITS, max_connections=10_000)
    refusals = [admission.admit("192.0.2.1", 10.0) for _ in range(140)]
    turned = [each for each in refusals if each is not None]
    assert len(turned) == 110, "of a burst of 40 a quarter is for clients that come back"
    assert all(each.is_turn and each.status == 503 for each in turned)
    waits = [each.retry_after for each in turned]
    assert waits == sorted(waits)
    assert waits[-1] - waits[0] == pytest.approx(1.09)


def test_clients_that_come_back_are_let_in_when_new_ones_are_not() -> None:
    admission = Admission(LIMITS, max_connections=10_000)
    while admission.admit("192.0.2.1", 10.0) is None:
        pass
    returning = [admission.admit("192.0.2.1", 10.0, is_returning=True) for _ in range(11)]
    assert [each is None for each in returning] == [True] * 10 + [False]
