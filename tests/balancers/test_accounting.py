"""Connections are counted right whatever happens in between, seen from outside."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from balancers import STRATEGIES, Member, ModifierSpec, StickySpec, View, compose
from balancers.modifiers import PanicSpec, SlowStartSpec, ZoneSpec
from tests.balancers.moments import Hands

CAPACITY = 3


class Fleet(RuleBasedStateMachine):
    """Clients come and go, nodes report, crash and start again, next to a ledger of sockets.

    Capacities are small, so that a connection counted too often or not at all soon makes the
    balancer turn a client away that has room, or place one where there is none.
    """

    strategy = ""
    modifiers: tuple[ModifierSpec, ...] = ()
    sticky: StickySpec | None = None

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        spec: Any = STRATEGIES[self.strategy]()
        if hasattr(spec, "table_size"):
            spec = attrs.evolve(spec, table_size=251)
        self.clock = Hands()
        self.balancer = compose(
            spec, self.modifiers, self.sticky, random.Random(seed), self.clock
        )
        # id -> connections that a node holds, those that the balancer was told of among them.
        self.held: Counter[str] = Counter()
        self.ours: list[str] = []
        # id -> what the last report said, and the changes that were counted since.
        self.reported: dict[str, Member] = {}
        self.since: Counter[str] = Counter()
        self.incarnations = 0
        self.version = 0
        for zone in ("here", "there", "here"):
            self.starts(zone)

    @rule(zone=st.sampled_from(["here", "there"]))
    def starts(self, zone: str) -> None:
        if len(self.reported) < 4:
            self.incarnations += 1
            name = f"n{self.incarnations}"
            self.reported[name] = Member(id=name, capacity=CAPACITY, zone=zone)
            self._look()

    @rule(key=st.integers(0, 9))
    def connects(self, key: int) -> None:
        member = self.balancer.pick(key, self.view)
        if member is None:
            assert not self._with_room(), "turned away though there is room"
            return
        assert member.id in self._with_room(), "placed where there is no room"
        self.balancer.opened(member.id)
        self.since[member.id] += 1
        self.ours.append(member.id)
        self.held[member.id] += 1

    @precondition(lambda self: self.ours)
    @rule(data=st.data())
    def disconnects(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.ours))
        self.ours.remove(name)
        self.balancer.closed(name)
        self.since[name] -= 1
        self.held[name] -= 1

    @rule(key=st.integers(0, 9))
    def fails_to_shake_hands(self, key: int) -> None:
        member = self.balancer.pick(key, self.view)
        if member is not None:
            self.balancer.opened(member.id)
            self.balancer.observed(member.id, None)
            self.balancer.closed(member.id)

    @precondition(lambda self: self.reported)
    @rule(data=st.data(), others=st.integers(-1, 1), drains=st.booleans())
    def reports(self, data: st.DataObject, others: int, drains: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.reported)))
        # Others place clients on it too, and theirs leave.
        foreign = max(0, self.held[name] + others)
        self.held[name] = max(foreign, self.ours.count(name))
        last = self.reported[name]
        self.reported[name] = attrs.evolve(
            last, connections=self.held[name], report=last.report + 1, is_accepting=not drains
        )
        self.since[name] = 0
        self._look()

    @precondition(lambda self: self.reported)
    @rule(data=st.data(), tells=st.booleans())
    def crashes(self, data: st.DataObject, tells: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.reported)))
        del self.reported[name]
        if tells:
            self._look()
        for closed in [each for each in self.ours if each == name]:
            self.balancer.closed(closed)
        self.ours = [each for each in self.ours if each != name]
        self._look()

    @rule(seconds=st.sampled_from([0.1, 5.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @rule()
    def the_rank_is_who_has_room(self) -> None:
        ranked = self.balancer.rank(4, self.view)
        assert sorted(member.id for member in ranked) == sorted(self._with_room())

    @invariant()
    def nobody_can_close_what_is_not_open(self) -> None:
        for name in (*self.reported, "n0"):
            if name not in self.ours:
                with pytest.raises(ValueError, match="closed more"):
                    self.balancer.closed(name)

    def _look(self) -> None:
        self.version += 1
        self.view = View(self.version, tuple(self.reported.values()))
        # The balancer sees each view, as it does where clients come all the time; the same key
        # always, so that a memory answers for the strategy.
        self.balancer.pick(0, self.view)

    def _with_room(self) -> set[str]:
        return {
            name
            for name, member in self.reported.items()
            if member.is_accepting and max(0, member.connections + self.since[name]) < CAPACITY
        }


@pytest.mark.parametrize("name", sorted(STRATEGIES))
@pytest.mark.parametrize(
    ("specs", "memory"),
    [
        ((), None), ((SlowStartSpec(), ZoneSpec(zone="here")), None),
        (
            (PanicSpec(), SlowStartSpec(), ZoneSpec(zone="here")),
            StickySpec(ttl=30.0, max_entries=4),
        ),
    ],
    ids=["alone", "zoned", "composed"],
)
def test_connections_are_counted_right_in_any_order_of_events(
    name: str, specs: tuple[ModifierSpec, ...], memory: StickySpec | None
) -> None:
    class Composed(Fleet):
        strategy = name
        modifiers = specs
        sticky = memory

    run_state_machine_as_test(
        Composed, settings=settings(max_examples=20, stateful_step_count=40, deadline=None)
    )
