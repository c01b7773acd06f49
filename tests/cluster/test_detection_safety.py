"""Nobody is declared dead who is not, whatever else fails: accuracy, finality, agreement."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.cluster.simulation import World
from wsmesh.cluster.actions import Accuse
from wsmesh.cluster.nodes import Identity

STALL = st.integers(4, 24).map(lambda eighths: eighths / 8)
"""0.5 to 3 s."""


class FailingCluster(RuleBasedStateMachine):
    """Crashes, stalls, cuts and outages of the store, in any order.

    A verdict is excused for a node that stood still for longer than the detector's patience, or
    that two or more others could not talk to. Everybody else must live.
    """

    world: World

    @initialize(size=st.integers(3, 7), seed=st.integers(0, 2**32))
    def begin(self, size: int, seed: int) -> None:
        self.world = World(size, seed)
        self.world.run(4)
        self.crashed: set[Identity] = set()
        self.excused: set[Identity] = set()
        self.held_dead: dict[str, dict[str, int]] = {}

    def pick(self, number: int) -> str:
        live = sorted(node.who.node for node in self.world.live())
        return live[number % len(live)]

    @rule(eighths=st.integers(1, 40))
    def time_passes(self, eighths: int) -> None:
        self.world.run(eighths / 8)

    @precondition(lambda self: len(self.world.live()) > 2)
    @rule(victim=st.integers(0, 99), is_process=st.booleans())
    def crash(self, victim: int, is_process: bool) -> None:
        name = self.pick(victim)
        self.crashed.add(self.world.nodes[name].who)
        self.world.crash(name, is_process=is_process)

    @rule(victim=st.integers(0, 99), seconds=STALL)
    def stall(self, victim: int, seconds: float) -> None:
        node = self.world.nodes[self.pick(victim)]
        self.world.stop(node.who.node, seconds)
        # Stalls overlap, and a wake may be followed by the next one at once.
        is_long = node.stopped_until - self.world.now > self.world.timing.interval
        if is_long or self.world.now < node.woke_at + 2:
            self.excused.add(node.who)

    @rule(one=st.integers(0, 99), other=st.integers(0, 99), is_both_ways=st.booleans())
    def cut(self, one: int, other: int, is_both_ways: bool) -> None:
        names = self.pick(one), self.pick(other)
        if names[0] != names[1]:
            self.world.isolate(*names)
            if is_both_ways:
                self.world.isolate(*reversed(names))
        self.excuse_the_cut_off()

    @rule(one=st.integers(0, 99), other=st.integers(0, 99), eighths=st.integers(1, 16))
    def drop_link(self, one: int, other: int, eighths: int) -> None:
        names = self.pick(one), self.pick(other)
        if names[0] != names[1]:
            self.world.drop_link(*names, eighths / 8)

    @rule(name=st.integers(0, 99), is_deaf=st.booleans())
    def cut_off_the_store(self, name: int, is_deaf: bool) -> None:
        name = self.pick(name)
        self.world.cut.add(("store", name) if is_deaf else (name, "store"))

    @rule()
    def heal(self) -> None:
        self.world.cut.clear()

    @rule(is_up=st.booleans())
    def store(self, is_up: bool) -> None:
        self.world.is_store_up = is_up

    def excuse_the_cut_off(self) -> None:
        live = {node.who.node for node in self.world.live()}
        for node in self.world.live():
            name = node.who.node
            away = {pair for pair in self.world.cut if name in pair and "store" not in pair}
            others = {other for pair in away for other in pair} & live - {name}
            # With one path gone two others still reach it, unless too few are left.
            if len(others) > 1 or (others and len(live) < 4):
                self.excused.add(node.who)

    @invariant()
    def only_the_crashed_and_the_excused_are_dead(self) -> None:
        self.excuse_the_cut_off()
        for death in self.world.deaths:
            assert death.who in self.crashed | self.excused, death

    @invariant()
    def every_verdict_had_its_accusers(self) -> None:
        for death in self.world.deaths:
            evidence = death.evidence
            assert len(death.accusers) >= 1
            assert len(death.accusers) >= 2 or (
                evidence.is_expired or (evidence.is_refused and evidence.others <= 1)
            )

    @invariant()
    def who_is_dead_stays_dead_and_versions_only_grow(self) -> None:
        for node in self.world.nodes.values():
            held = self.held_dead.setdefault(str(node.who), {})
            for name, incarnation in held.items():
                assert node.view.buried[name] >= incarnation
            held.update(node.view.buried)
            for name, seen in node.view.members.items():
                assert not node.view.is_dead(seen.record.identity)
                assert name == seen.record.node
            assert node.versions == sorted(set(node.versions))

    @invariant()
    def nobody_who_just_woke_accuses_the_living(self) -> None:
        for at, name, action in self.world.trace:
            after = at - self.world.nodes[name].woke_at
            if isinstance(action, Accuse) and 0 <= after < self.world.timing.timeout:
                assert action.target in self.crashed | self.excused

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.cut.clear()
        world.is_store_up = True
        world.run(60)
        live = {node.who for node in world.live()}
        for node in world.live():
            found = {seen.record.identity for seen in node.view.members.values()}
            assert found == live, "healed, everybody sees everybody who lives, and nobody else"
            assert not any(seen.is_suspect for seen in node.view.members.values())


TestFailingCluster = FailingCluster.TestCase
TestFailingCluster.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
