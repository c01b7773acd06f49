"""The balancer: a strategy with its modifiers and its memory, as a gateway uses it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import inf

from balancers.described import Described, described_by
from balancers.interface import (
    Clock,
    Member,
    Modifier,
    ModifierSpec,
    Spec,
    Strategy,
    View,
    observers_of,
)
from balancers.modifiers import (
    HealthSpec,
    OutlierEjectionSpec,
    PanicSpec,
    SlowStartSpec,
    ZoneSpec,
)
from balancers.preference import Preferring
from balancers.sticky import Sticky, StickySpec

_STEP = 0.25
"""Seconds: how late a change that comes with time alone may be; windows are many of it."""


class Balancer:
    """Implements `interface.Strategy` and `interface.Observer`: one that `compose` makes.

    Members it returns are those of the view it was given, not of the modified one. Modifiers are
    asked once for a view, each quarter of a second, and after a failure; a pick in between costs
    the strategy's pick, a look at the clock and a look-up.

    :param modifiers: in the order in which they are applied.
    """

    def __init__(
        self, strategy: Strategy, modifiers: Sequence[Modifier], sticky: Sticky | None,
        clock: Clock,
    ) -> None:
        self._strategy = strategy if sticky is None else sticky
        self._sticky = sticky
        self._modifiers = tuple(modifiers)
        self._learners = observers_of((self._strategy, *self._modifiers))
        self._clock = clock
        self._view = View(-1, ())
        self._effective = self._view
        self._until = -inf

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return every eligible member that modifiers left, in order of preference."""
        if view is not self._view or self._clock() >= self._until:
            self._refresh(view)
        return [view.by_id[member.id] for member in self._strategy.rank(key, self._effective)]

    def pick(self, key: int, view: View) -> Member | None:
        """Return the first of `rank`."""
        if view is not self._view or self._clock() >= self._until:
            self._refresh(view)
        member = self._strategy.pick(key, self._effective)
        return None if member is None else view.by_id[member.id]

    def placed(self, key: int, member: str) -> None:
        """Tell where a client went (by id) after the picked member did not take it."""
        if self._sticky is not None:
            self._sticky.placed(key, member)

    def opened(self, member: str) -> None:
        """Count a connection on top of the member's report."""
        self._strategy.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._strategy.closed(member)

    def observed(self, member: str, seconds: float | None) -> None:
        """Tell those that learn from it.

        What a failure changes holds from the next pick on. Clients are placed by the thousand, so
        what a success changes is seen with the next quarter of a second.
        """
        for learner in self._learners:
            learner.observed(member, seconds)
        if seconds is None:
            self._until = -inf

    def describe(self) -> Mapping[str, Mapping[str, Described]]:
        """Return for each member of the last view by what it is placed on, by names of facts.

        Always there: `weight` and `accepting`, as modifiers left them. Others come with those
        that make them: `warm`, the share of its weight a newcomer has; `ejected`; `panic`;
        `handshake`, seconds that `peak_ewma` goes by.
        """
        if self._view.members:
            self._refresh(self._view)
        facts: dict[str, dict[str, Described]] = {
            member.id: {"weight": member.weight, "accepting": member.is_accepting}
            for member in self._effective.members
        }
        for someone in (*self._modifiers, self._strategy):
            for name, said in described_by(someone, self._effective).items():
                facts[name].update(said)
        return facts

    def _refresh(self, view: View) -> None:
        effective = view
        for modifier in self._modifiers:
            effective = modifier.modified(effective)
        self._view, self._effective = view, effective
        self._until = self._clock() + _STEP if self._modifiers else inf


def compose(
    spec: Spec, modifiers: Sequence[ModifierSpec], sticky: StickySpec | None,
    rng: random.Random, clock: Clock,
) -> Balancer:
    """Make a balancer; the order of `modifiers` does not matter, except among those of others.

    `health` and `outlier_ejection` come first, inside `panic`, then `slow_start`, then those that
    wsmesh does not know, then `zone`; the memory of `sticky` is over all of them, so that a key
    leaves its member only where that is not eligible.

    :raises ValueError: one kind of modifier is given twice.
    """
    kinds = {type(each): each for each in modifiers}
    if len(kinds) != len(modifiers):
        raise ValueError("expected one modifier of a kind")
    applied: list[Modifier] = [
        kinds[kind].build(rng, clock) for kind in (HealthSpec, OutlierEjectionSpec) if kind in kinds
    ]
    panic = kinds.get(PanicSpec)
    if isinstance(panic, PanicSpec):
        applied = [panic.around(applied)]
    own = {HealthSpec, OutlierEjectionSpec, PanicSpec, SlowStartSpec, ZoneSpec}
    later = [each for each in modifiers if type(each) not in own]
    if SlowStartSpec in kinds:
        later.insert(0, kinds[SlowStartSpec])
    applied += [each.build(rng, clock) for each in later]
    strategy = spec.build(rng, clock)
    zone = kinds.get(ZoneSpec)
    if isinstance(zone, ZoneSpec) and zone.zone:
        strategy = Preferring(zone.build(rng, clock), strategy, spec.build(rng, clock))
    remembering = None if sticky is None else sticky.build(strategy, clock)
    return Balancer(strategy, applied, remembering, clock)
