"""Who stood still, or whose store was away, or whose clock jumped, condemns nobody for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.cluster.simulation import World
from wsmesh.cluster.actions import Accuse, SelfHealth, Suspect

SIZES = st.integers(3, 7)
SEEDS = st.integers(0, 2**32)


def warm(size: int, seed: int, **options: object) -> World:
    world = World(size, seed, **options)
    world.run(3 + world.between(0, 2))
    return world


def accusations(world: World, since: float) -> list[tuple[float, str, Accuse]]:
    return [
        (at, name, action)
        for at, name, action in world.trace
        if isinstance(action, Accuse) and at >= since
    ]


@settings(max_examples=25)
@given(size=SIZES, seed=SEEDS, eighths=st.integers(4, 24))
def test_a_node_that_was_stopped_accuses_nobody_when_it_wakes(size, seed, eighths):
    """SIGSTOP 0.5 to 3 s; what waited in its sockets is read in any order with its timers."""
    world = warm(size, seed)
    since = world.now
    world.stop("n0", eighths / 8)
    world.run(10)
    assert [name for _, name, _ in accusations(world, since) if name == "n0"] == []


@settings(max_examples=25)
@given(size=SIZES, seed=SEEDS)
def test_a_stall_that_is_sure_to_be_noticed_mutes_a_node_even_about_those_who_died(size, seed):
    """A timer is never further away than an interval, so this one was late."""
    world = warm(size, seed)
    timing = world.timing
    world.stop("n0", 2.0)
    world.run(1.0)
    world.crash("n1", is_process=True)
    world.crash("n2")
    world.run(1.0)
    woke = world.now
    world.run(8)
    by_n0 = [at for at, name, _ in accusations(world, woke - 1) if name == "n0"]
    assert all(at >= woke + timing.interval for at in by_n0)
    assert any(
        name == "n0" and isinstance(action, SelfHealth) and action.score == 1
        for at, name, action in world.trace
        if at >= woke
    )
    assert world.nodes["n0"].detector.is_well


@settings(max_examples=15)
@given(size=SIZES, seed=SEEDS, eighths=st.integers(4, 12))
def test_a_pause_within_the_slack_is_no_death_of_the_paused_either(size, seed, eighths):
    world = warm(size, seed)
    slack = (world.timing.misses - 1) * world.timing.interval + world.timing.timeout
    world.stop("n0", min(eighths / 8, slack - 8 / 1024))
    world.run(10)
    assert world.deaths == []


@settings(max_examples=15)
@given(size=SIZES, seed=SEEDS)
def test_nobody_is_even_accused_while_every_answer_comes_within_its_timeout(size, seed):
    """0.12 s one way: 0.24 s for an answer; the slowest that a relayed one may be is 0.5 s."""
    world = World(size, seed, delay=(0.0, 0.12))
    world.run(30)
    assert not any(isinstance(action, (Accuse, Suspect)) for _, _, action in world.trace)


@settings(max_examples=10)
@given(size=st.integers(4, 7), seed=SEEDS)
def test_messages_that_are_lost_now_and_then_kill_nobody(size, seed):
    world = warm(size, seed, loss=0.02)
    world.run(60)
    assert world.deaths == []


@settings(max_examples=15)
@given(size=SIZES, seed=SEEDS, away=st.integers(1, 60), is_forgetful=st.booleans())
def test_an_outage_of_the_store_longer_than_every_lease_kills_nobody(
    size, seed, away, is_forgetful
):
    world = warm(size, seed)
    world.is_store_up = False
    world.run(away)
    assert all(len(node.view.members) == size for node in world.live())
    if is_forgetful:
        world.lose_memory()
    world.is_store_up = True
    world.run(40)
    assert world.deaths == []
    assert all(len(node.view.members) == size for node in world.live())
    assert not any(isinstance(action, (Accuse, Suspect)) for _, _, action in world.trace)


@settings(max_examples=15)
@given(size=st.integers(4, 7), seed=SEEDS)
def test_a_node_cut_off_from_all_peers_kills_nobody_when_it_is_first_at_a_store_that_was_away(
    size, seed
):
    """All leases have run out but its own, so it would be alone to judge."""
    world = warm(size, seed)
    world.is_store_up = False
    world.run(20)
    others = [name for name in world.nodes if name != "n0"]
    for name in others:
        world.isolate("n0", name)
        world.isolate(name, "n0")
        world.cut.add((name, "store"))
    world.is_store_up = True
    world.run(world.timing.lease - 1)
    assert world.deaths == []


@settings(max_examples=15)
@given(size=st.integers(4, 8), seed=SEEDS, is_both_ways=st.booleans())
def test_a_path_that_is_broken_one_way_or_both_kills_nobody(size, seed, is_both_ways):
    world = warm(size, seed)
    world.isolate("n0", "n1")
    if is_both_ways:
        world.isolate("n1", "n0")
    world.run(30)
    assert world.deaths == []
    assert not any(seen.is_suspect for node in world.live() for seen in node.view.members.values())


@settings(max_examples=15)
@given(size=st.integers(3, 8), seed=SEEDS, is_mute=st.booleans())
def test_who_hears_but_is_not_heard_or_the_reverse_dies_and_takes_nobody_along(
    size, seed, is_mute
):
    world = warm(size, seed)
    for name in world.nodes:
        world.isolate(*(("n0", name) if is_mute else (name, "n0")))
    world.run(4)
    assert {death.who.node for death in world.deaths} == {"n0"}


@settings(max_examples=10)
@given(size=SIZES, seed=SEEDS)
def test_a_node_that_was_stopped_for_long_learns_that_it_is_dead_and_comes_back(size, seed):
    world = warm(size, seed)
    world.stop("n0", 10)
    world.run(30)
    assert [(death.who.node, death.who.incarnation) for death in world.deaths] == [("n0", 1)]
    for node in world.live():
        assert node.view.members["n0"].record.incarnation == 2
        assert not any(seen.is_suspect for seen in node.view.members.values())


def test_a_link_that_breaks_every_other_second_does_not_make_the_view_flap():
    world = warm(4, 7)
    since = world.now
    for _ in range(60):
        world.drop_link("n0", "n1", 1.0)
        world.run(2)
    suspicions = [a for at, _, a in world.trace if isinstance(a, Suspect) and at >= since]
    assert world.deaths == []
    assert 2 <= len(suspicions) <= 2 * 5
    world.run(15)
    assert not any(seen.is_suspect for node in world.live() for seen in node.view.members.values())


@pytest.mark.parametrize("origin", [0.0, 2.0**20, 1.0])
@pytest.mark.parametrize("wall", [-3600.0, 3600.0])
def test_only_the_time_that_passes_counts_and_no_wall_clock(origin, wall):
    def run(origin: float, wall: float) -> list[object]:
        world = World(4, 3, origin=origin)
        world.run(12)
        for node in world.live():
            node.record = replace(node.record, started_at=node.record.started_at + wall)
        world.crash("n2")
        world.stop("n1", 2)
        world.run(30)
        return [(round(at, 6), name, action) for at, name, action in world.trace]

    assert run(origin, wall) == run(0.0, 0.0)
