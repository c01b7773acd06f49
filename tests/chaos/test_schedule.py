"""Schedules of faults leave two nodes alone, heal everything, and are a function of the seed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.schedule import CALM, HEALTHY, KINDS, schedule

seeds, sizes = st.integers(0, 2**32), st.integers(3, 8)


@given(seed=seeds, nodes=sizes, seconds=st.floats(0, 900))
def test_two_nodes_are_healthy_at_any_time_and_all_are_at_the_end(
    seed: int, nodes: int, seconds: float
) -> None:
    faults = schedule(seed, nodes, seconds)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    for fault in faults:
        assert fault.at >= CALM and fault.until <= seconds - CALM
        assert KINDS[fault.kind].least <= fault.lasts <= KINDS[fault.kind].most
        assert (fault.kind == "add and remove") is (fault.node == nodes)
        ill = {
            other.node for other in faults
            if other.node != nodes
            and other.at <= fault.at < other.until + KINDS[other.kind].settle
        }
        assert nodes - len(ill) >= HEALTHY


@given(seed=seeds, nodes=sizes)
def test_nothing_happens_to_a_node_before_it_has_settled(seed: int, nodes: int) -> None:
    ready: dict[int, float] = {}
    for fault in schedule(seed, nodes, 300):
        assert fault.at >= ready.get(fault.node, 0.0)
        ready[fault.node] = fault.until + KINDS[fault.kind].settle


@given(seed=seeds)
def test_in_five_minutes_everything_happens(seed: int) -> None:
    assert {fault.kind for fault in schedule(seed, 4, 300)} == set(KINDS)


@given(seed=seeds)
def test_a_seed_is_a_schedule(seed: int) -> None:
    assert schedule(seed, 5, 120) == schedule(seed, 5, 120)
