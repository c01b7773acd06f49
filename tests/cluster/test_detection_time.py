"""A crashed node is dead for everybody in time: completeness, and how long it takes."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cluster.simulation import BEAT, World
from wsmesh.cluster.nodes import Identity

WARM = 3
HOP = 4 / 1024
"""The slowest message in these worlds."""
AGREEMENT = 6 * HOP
"""From the last accusation to everybody's view: to the store and back, told, read."""


def warm(size: int, seed: int) -> World:
    world = World(size, seed)
    world.run(WARM + world.between(0, 2))
    assert all(len(node.view.members) == size for node in world.live())
    return world


def learnt(world: World, name: str) -> list[float]:
    """When each live node learnt that the first incarnation of `name` is dead."""
    return [node.learnt.get(Identity(name, 1), float("inf")) for node in world.live()]


@settings(max_examples=30)
@given(size=st.integers(3, 9), seed=st.integers(0, 2**32), victim=st.integers(0, 8))
def test_a_host_that_vanishes_is_dead_for_everybody_within_the_stated_time(size, seed, victim):
    world = warm(size, seed)
    name, crashed = f"n{victim % size}", world.now
    world.crash(name)
    world.run(4)
    assert max(learnt(world, name)) - crashed <= world.timing.detection + AGREEMENT
    assert {death.who.node for death in world.deaths} == {name}


@settings(max_examples=15)
@given(size=st.integers(2, 9), seed=st.integers(0, 2**32))
def test_a_process_that_dies_is_dead_for_everybody_as_soon_as_its_host_refuses(size, seed):
    world = warm(size, seed)
    crashed = world.now
    world.crash("n1", is_process=True)
    world.run(1)
    assert max(learnt(world, "n1")) - crashed <= 0.125 + HOP + AGREEMENT


@settings(max_examples=20)
@given(size=st.integers(5, 9), seed=st.integers(0, 2**32), data=st.data())
def test_nodes_that_vanish_together_are_found_although_they_watched_each_other(size, seed, data):
    """Three that go on leave two accusers for each: within one more detection time."""
    world = warm(size, seed)
    crashed = world.now
    names = data.draw(st.sets(st.sampled_from(sorted(world.nodes)), min_size=2, max_size=size - 3))
    for name in names:
        world.crash(name)
    world.run(8)
    assert max(max(learnt(world, name)) for name in names) - crashed <= 2 * world.timing.detection
    assert {death.who.node for death in world.deaths} == names


@pytest.mark.parametrize("seed", range(5))
def test_of_two_nodes_the_other_is_dead_when_its_lease_ran_out_and_not_before(seed):
    world = warm(2, seed)
    crashed = world.now
    world.crash("n0")
    world.run(30)
    (death,) = world.deaths
    lease, timing = world.timing.lease, world.timing
    assert lease - BEAT <= death.at - crashed <= lease + BEAT + timing.interval + timing.timeout


def test_a_lone_survivor_condemns_all_others_when_their_leases_ran_out():
    world = warm(4, 1)
    for name in ("n0", "n1", "n2"):
        world.crash(name)
    world.run(10)
    assert world.deaths == []
    world.run(20)
    assert {death.who.node for death in world.deaths} == {"n0", "n1", "n2"}


def test_what_detection_takes_over_three_hundred_crashes_of_hosts():
    """Five nodes, default timing; the crash comes anywhere between two probes."""
    took = []
    for seed in range(300):
        world = warm(5, seed)
        name, crashed = f"n{seed % 5}", world.now
        world.crash(name)
        world.run(3)
        took.append(max(learnt(world, name)) - crashed)
    took.sort()
    mean, p99 = statistics.fmean(took), took[round(0.99 * len(took)) - 1]
    print(f"300 crashes: mean {mean:.2f} s, p99 {p99:.2f} s, max {took[-1]:.2f} s")
    assert 1.9 < mean < 2.1
    assert took[0] >= 1.5
    assert took[-1] <= 2.5 + AGREEMENT
