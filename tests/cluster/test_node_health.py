"""Health is that of the worst part; load is how full a node is."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.cluster.health import Vitals, health_of, load_of

WELL = Vitals(queue_limit=1000, commands=100, capacity=100)

WORSE = {
    "loop_lag": st.floats(0, 10),
    "queued": st.integers(0, 2000),
    "errors": st.integers(0, 200),
    "connections": st.integers(0, 200),
}


@pytest.mark.parametrize(
    ("part", "value", "health"),
    [
        ("loop_lag", 0.05, 1.0),
        ("loop_lag", 0.525, 0.5),
        ("loop_lag", 1.0, 0.0),
        ("loop_lag", 60.0, 0.0),
        ("queued", 500, 1.0),
        ("queued", 750, 0.5),
        ("queued", 1000, 0.0),
        ("errors", 1, 1.0),
        ("errors", 50, 0.0),
        ("connections", 90, 1.0),
        ("connections", 95, 0.5),
        ("connections", 100, 0.0),
        ("connections", 101, 0.0),
    ],
)
def test_each_part_falls_in_a_straight_line_between_its_limits(part, value, health):
    assert health_of(attrs.evolve(WELL, **{part: value})) == pytest.approx(health)


@given(st.fixed_dictionaries(WORSE))
def test_health_is_that_of_the_worst_part(parts):
    each = [health_of(attrs.evolve(WELL, **{part: value})) for part, value in parts.items()]
    assert health_of(attrs.evolve(WELL, **parts)) == min(each)
    assert 0 <= min(each) <= 1


@given(data=st.data(), part=st.sampled_from(sorted(WORSE)))
def test_more_of_what_is_bad_is_never_healthier(data, part):
    less, more = sorted([data.draw(WORSE[part]), data.draw(WORSE[part])])
    assert health_of(attrs.evolve(WELL, **{part: more})) <= health_of(
        attrs.evolve(WELL, **{part: less})
    )


def test_a_part_without_a_limit_is_well_and_no_room_at_all_is_not():
    assert health_of(Vitals(queued=10**9, capacity=1)) == 1.0
    assert health_of(Vitals()) == 0.0


@pytest.mark.parametrize(
    ("connections", "capacity", "busy", "load"),
    [(0, 10, 0.0, 0.0), (5, 10, 0.2, 0.5), (5, 10, 0.7, 0.7), (20, 10, 0.0, 1.0), (0, 0, 0.0, 1.0),
     (0, 10, 1.5, 1.0), (0, 10, -0.1, 0.0)],
)
def test_load_is_of_connections_or_of_work_whichever_is_more(connections, capacity, busy, load):
    assert load_of(connections, capacity, busy) == load
