"""Slow start: a new member's weight grows to its full value over a while.

Without it the strategies that look at loads send everybody to an empty member. The curve and the
defaults are Envoy's (its documentation on slow start mode); that the balancer's own start makes
nobody a newcomer is HAProxy's rule (`slowstart`).
"""

from __future__ import annotations

import random
from math import inf

import attrs

from balancers.interface import Clock, Modifier, View
from balancers.modifiers.views import replaced
from balancers.options import option, within


@attrs.frozen(kw_only=True)
class SlowStartSpec:
    """The options of `slow_start`."""

    window: float = option(
        30.0, "How long it takes a new member to get its full weight.", check=within(0), unit="s"
    )
    aggression: float = option(
        1.0, "1 grows evenly, more grows faster at first: (age / window) ^ (1 / aggression).",
        check=within(0, above=True),
    )
    min_weight_percent: float = option(
        10.0, "Percentage of its weight that a member begins with.",
        check=within(0, 100, above=True),
    )
    startup: float = option(
        5.0,
        "Members that come this soon after the first one ever seen are no newcomers: all of them "
        "may be starting together.",
        check=within(0), unit="s",
    )
    steps: int = option(
        20, "In how many steps the weight grows; each makes a view that strategies prepare for.",
        check=within(1, 1000),
    )

    def build(self, rng: random.Random, clock: Clock) -> Modifier:
        """Make the modifier."""
        return SlowStart(self, clock)


class SlowStart:
    """Implements `interface.Modifier`.

    A member is new from when it is first seen accepting, unless it was in the first view; as ids
    name incarnations, one that was started again is new again. Who is out of sight for less than
    the window goes on where it was.
    """

    def __init__(self, spec: SlowStartSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._began: float | None = None
        # id -> when it was first seen accepting; -inf: it was warm from the start.
        self._since: dict[str, float] = {}
        self._last_seen: dict[str, float] = {}
        self._view: View | None = None
        self._modified = View(-1, ())
        self._next = inf

    def modified(self, view: View) -> View:
        """Return the view with less weight for newcomers."""
        now = self._clock()
        if view is not self._view:
            self._meet(view, now)
        elif now < self._next:
            return self._modified
        shares = {name: self._share(name, now) for name in view.by_id}
        self._modified = replaced(
            view,
            {
                name: attrs.evolve(member, weight=member.weight * shares[name])
                for name, member in view.by_id.items()
                if shares[name] < 1
            },
        )
        step = self._spec.window / self._spec.steps
        self._next = min(
            (
                self._since[name] + (int((now - self._since[name]) / step) + 1) * step
                for name, share in shares.items()
                if share < 1 and name in self._since
            ),
            default=inf,
        )
        self._view = view
        return self._modified

    def described(self, view: View) -> dict[str, dict[str, float]]:
        """Return for each member the share of its weight that it has, 1 when it is warm."""
        now = self._clock()
        return {name: {"warm": self._share(name, now)} for name in view.by_id}

    def _share(self, name: str, now: float) -> float:
        spec = self._spec
        age = now - self._since.get(name, now)
        if age >= spec.window:
            return 1.0
        progress = int(age / spec.window * spec.steps) / spec.steps
        # No power of it for a progress of 0: the exponent may be anything.
        grown = progress ** (1 / spec.aggression) if progress else 0.0
        return max(spec.min_weight_percent / 100, grown)

    def _meet(self, view: View, now: float) -> None:
        since, seen = self._since, self._last_seen
        is_first = self._began is None
        if is_first and view.members:
            self._began = now
        is_startup = self._began is None or now - self._began < self._spec.startup
        for member in view.members:
            if is_first or (is_startup and member.is_accepting):
                since.setdefault(member.id, -inf)
            elif member.is_accepting:
                since.setdefault(member.id, now)
        # Those of the view before were in sight until now.
        for name in self._view.by_id if self._view else ():
            seen[name] = now
        for name in [name for name, at in seen.items() if now - at > self._spec.window]:
            if name not in view.by_id:
                since.pop(name, None)
            del seen[name]
