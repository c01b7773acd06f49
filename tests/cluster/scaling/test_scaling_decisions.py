"""How many nodes there should be: bounds, dead band, safe steps, windows, missing figures."""

from __future__ import annotations

import random
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.cluster.scaling.calendar import bounds_at
from wsmesh.cluster.scaling.decide import Decision, Memory, decide
from wsmesh.cluster.scaling.policies import headroom, wanted
from wsmesh.cluster.scaling.signals import NodeSignal, Signals
from wsmesh.cluster.scaling.victims import victims
from wsmesh.config.scaling import POLICIES, ScalingSection
from wsmesh.config.values import Seconds

CAPACITY = 100


def section(**options: Any) -> ScalingSection:
    return ScalingSection(**{"down_window": Seconds(0.0), "max_nodes": 50} | options)


def fleet(*loads: int, **more: Any) -> Signals:
    return Signals(tuple(
        NodeSignal(id=f"n{number}/1", connections=load, capacity=CAPACITY, **more)
        for number, load in enumerate(loads)
    ))


def once(signals: Signals, options: ScalingSection, **memory: Any) -> Decision:
    known = Memory(**{"since": -1e9} | memory)
    return decide(signals, options, known, 0.0, 0.0)[0]


loads = st.lists(st.integers(0, CAPACITY), min_size=1, max_size=12)
policies = st.sampled_from(POLICIES)


# -- 34 to 37 -------------------------------------------------------------------------------------


@given(loads=loads, policy=policies, least=st.integers(1, 20), spread=st.integers(0, 20))
def test_the_size_is_always_within_its_bounds(
    loads: list[int], policy: str, least: int, spread: int
) -> None:
    options = section(policy=policy, min_nodes=least, max_nodes=least + spread)
    assert least <= once(fleet(*loads), options).desired <= least + spread


@given(loads=loads)
def test_between_the_thresholds_nothing_changes(loads: list[int]) -> None:
    load = sum(loads) / (len(loads) * CAPACITY)
    decision = once(fleet(*loads), section())
    if 0.3 <= load <= 0.8:
        assert (decision.change, decision.reason) == (0, "steady")


@given(
    nodes=st.integers(1, 12), policy=policies, lower=st.integers(0, 2000),
    more=st.integers(0, 500), step=st.integers(1, 4), lost=st.integers(0, 3),
)
def test_more_clients_never_want_fewer_nodes(
    nodes: int, policy: str, lower: int, more: int, step: int, lost: int
) -> None:
    options = section(policy=policy, step=step, headroom_nodes=lost)
    before, after = (wanted(options, load, nodes, CAPACITY) for load in (lower, lower + more))
    assert before <= after


@given(nodes=st.integers(1, 30), clients=st.integers(0, 3000), step=st.integers(1, 5))
def test_a_step_never_calls_for_the_one_back(nodes: int, clients: int, step: int) -> None:
    options = section(step=step)
    after = wanted(options, clients, nodes, CAPACITY)
    load = clients / (after * CAPACITY)
    if after < nodes:
        assert load < options.scale_up_threshold - options.margin
    if after > nodes and step == 1:
        assert load > options.scale_down_threshold


def test_the_cluster_counts_and_not_its_fullest_node() -> None:
    assert once(fleet(100, 10, 10), section()).change == 0
    assert once(fleet(90, 80, 90), section()).change == 1


@pytest.mark.parametrize(
    ("options", "loads", "desired"),
    [
        ({"policy": "target_tracking", "target": 0.5}, (90, 90), 4),
        ({"policy": "target_tracking", "target": 0.5}, (54, 54), 2),
        ({"policy": "target_tracking", "target": 0.5}, (20, 20, 10), 1),
        ({"policy": "buffer", "buffer": 120.0}, (90, 90), 3),
        ({"policy": "buffer", "buffer": 0.5}, (90, 90), 4),
        ({"policy": "buffer", "buffer": 0.2}, (0, 0, 0), 1),
        ({"headroom_nodes": 1}, (55, 55), 3),
        ({"headroom_nodes": 1}, (45, 45), 2),
        ({"headroom_nodes": 1}, (70, 70, 70, 70), 4),
        ({"headroom_nodes": 1, "limit": 0.9}, (70, 70, 70, 70), 5),
    ],
)
def test_each_policy_by_hand(options: Any, loads: tuple[int, ...], desired: int) -> None:
    assert once(fleet(*loads), section(**options)).desired == desired


def test_below_five_nodes_eighty_percent_survive_no_loss() -> None:
    options = section(headroom_nodes=1)
    assert [round(headroom(options, nodes), 2) for nodes in (2, 3, 4, 5, 10)] == [
        0.5, 0.67, 0.75, 0.8, 0.9
    ]


# -- 38 to 40 -------------------------------------------------------------------------------------


@define
class World:
    """A cluster that does what is decided, after nodes have booted."""

    options: ScalingSection
    boot: float = 30.0
    nodes: int = 2
    now: float = 0.0
    coming: list[float] = field(factory=list)
    memory: Memory = field(factory=lambda: Memory(since=0.0))
    changes: list[tuple[float, int]] = field(factory=list)
    advice: list[tuple[float, int, int]] = field(factory=list)

    def step(self, clients: int, *, unknown: int = 0) -> Decision:
        self.now += 5.0
        self.nodes += sum(at <= self.now for at in self.coming)
        self.coming = [at for at in self.coming if at > self.now]
        each, rest = divmod(clients, self.nodes)
        signals = Signals(tuple(
            NodeSignal(
                id=f"n{number}/1", connections=each + (number < rest), capacity=CAPACITY,
                is_known=number >= unknown,
            )
            for number in range(self.nodes)
        ))
        decision, self.memory = decide(signals, self.options, self.memory, self.now, 0.0)
        self.advice.append((self.now, self.memory.advised[-1][1], decision.current))
        if decision.change:
            self.changes.append((self.now, decision.change))
        for _ in range(decision.change):
            self.coming.append(self.now + self.boot)
        if decision.change < 0:
            self.nodes += decision.change
        return decision


traces = st.lists(st.integers(0, 900), min_size=1, max_size=120)


@given(trace=traces, window=st.sampled_from([20.0, 60.0, 300.0]), policy=policies)
def test_nodes_go_only_when_nobody_wanted_them_for_the_whole_window(
    trace: list[int], window: float, policy: str
) -> None:
    world = World(section(down_window=Seconds(window), policy=policy))
    for clients in trace:
        decision = world.step(clients)
        if decision.change < 0:
            recent = [want for at, want, _ in world.advice if world.now - at <= window]
            assert max(recent) <= decision.current + decision.change
            assert world.now >= window, "who has just begun to decide knows of no window"
    turns = sum(
        before[1] > 0 > after[1]
        for before, after in zip(world.changes, world.changes[1:], strict=False)
    )
    assert turns <= world.now / window + 1


@given(
    trace=traces, policy=policies,
    unknown=st.lists(st.integers(0, 20), min_size=120, max_size=120),
)
def test_nodes_of_which_nothing_is_known_are_no_reason_to_remove_one(
    trace: list[int], policy: str, unknown: list[int]
) -> None:
    world = World(section(policy=policy))
    for clients, missing in zip(trace, unknown, strict=False):
        decision = world.step(clients, unknown=missing)
        if missing:
            assert decision.change >= 0


@given(policy=policies, boot=st.floats(1.0, 100.0), clients=st.integers(161, 190))
def test_the_same_demand_asks_once_for_a_node_that_takes_long_to_boot(
    policy: str, boot: float, clients: int
) -> None:
    world = World(section(policy=policy, target=0.8, buffer=0.2), boot=boot)
    for _ in range(20):
        world.step(clients)
    assert len(world.changes) <= 1


def test_a_node_that_never_comes_is_asked_for_again() -> None:
    world = World(section(boot_timeout=Seconds(60.0)), boot=1e9)
    for _ in range(40):
        world.step(190)
    assert [at for at, _ in world.changes] == [5.0, 65.0, 125.0, 185.0]


def test_a_flash_crowd_is_met_step_by_step_and_leaves_slowly() -> None:
    world = World(section(down_window=Seconds(300.0)), boot=10.0)
    sizes = []
    for clients in [100] * 10 + [700] * 60 + [50] * 700:
        world.step(clients)
        sizes.append(world.nodes)
    assert max(sizes) == 9, "700 clients at 0.8 of 100 each"
    assert world.nodes <= 2
    downs = [at for at, change in world.changes if change < 0]
    assert min(downs) >= 70 * 5 + 300


@given(trace=traces, policy=policies)
def test_the_size_settles_when_the_load_does(trace: list[int], policy: str) -> None:
    world = World(section(policy=policy, buffer=0.2), boot=5.0)
    for clients in [*trace, *[trace[-1]] * 150]:
        world.step(clients)
    assert [change for at, change in world.changes if at > world.now - 100] == []


# -- the schedule ---------------------------------------------------------------------------------

MONDAY = 4 * 86_400
"""1970-01-05."""


def test_bounds_follow_the_calendar() -> None:
    entries = ("mon-fri 08:00 5-20", "mon-fri 20:00 2", "sat 10:00 3-4")
    at = {
        "mon 08:00": (5, 20), "mon 19:59": (5, 20),
        "tue 03:00": (2, 50), "sat 09:00": (2, 50), "sun 12:00": (3, 4), "mon 07:00": (3, 4),
    }
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    for when, bounds in at.items():
        day, _, clock = when.partition(" ")
        hour, _, minute = clock.partition(":")
        unix = MONDAY + days.index(day) * 86_400 + int(hour) * 3600 + int(minute) * 60
        assert bounds_at(entries, unix, (1, 50)) == bounds, when
    assert bounds_at((), MONDAY, (1, 7)) == (1, 7)
    assert bounds_at(("sat-mon 00:00 9",), MONDAY + 5, (1, 7)) == (9, 9)


# -- who goes -------------------------------------------------------------------------------------


def test_the_emptiest_goes_never_the_leader_and_the_new_one_last() -> None:
    nodes = (
        NodeSignal(id="leader/1", connections=0, capacity=9, is_leader=True),
        NodeSignal(id="new/1", connections=1, capacity=9, age=5.0),
        NodeSignal(id="full/1", connections=8, capacity=9),
        NodeSignal(id="some/1", connections=3, capacity=9),
        NodeSignal(id="silent/1", connections=0, capacity=9, is_known=False),
    )
    order = [node.id for node in victims(Signals(nodes), 9, 9)]
    assert order == ["some/1", "full/1", "silent/1", "new/1"]
    assert [node.id for node in victims(Signals(nodes), 1, 9)] == ["some/1"]


@given(
    count=st.integers(0, 9), most=st.integers(1, 3), leaving=st.integers(0, 3),
    rng=st.randoms(use_true_random=False),
)
def test_no_more_drain_at_once_than_may(
    count: int, most: int, leaving: int, rng: random.Random
) -> None:
    nodes = tuple(
        NodeSignal(
            id=f"n{number}/1", connections=rng.randrange(9), capacity=9,
            is_leaving=number < leaving, is_leader=number == 5,
        )
        for number in range(8)
    )
    found = victims(Signals(nodes), count, most)
    assert len(found) <= max(0, most - leaving)
    assert not any(node.is_leader or node.is_leaving for node in found)
