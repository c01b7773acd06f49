"""Outlier ejection: a member whose handshakes fail in a row gets nobody for a while.

Follows Envoy's outlier detection for consecutive errors: times, their growth and the bound on how
many may be ejected at once.
"""

from __future__ import annotations

import random
from math import inf

import attrs

from balancers.interface import Clock, Modifier, View
from balancers.modifiers.views import candidates, replaced
from balancers.options import option, within


@attrs.frozen(kw_only=True)
class OutlierEjectionSpec:
    """The options of `outlier_ejection`."""

    consecutive_failures: int = option(
        5, "Handshakes in a row that fail before a member is ejected.", check=within(1)
    )
    base_ejection_time: float = option(
        30.0,
        "How long the first ejection takes; the second in a row takes twice as long, and so on. "
        "One is forgotten for each such time without.",
        check=within(0, above=True), unit="s",
    )
    max_ejection_time: float = option(
        300.0, "Longest ejection.", check=within(0, above=True), unit="s"
    )
    max_ejection_percent: float = option(
        10.0, "Percentage of the accepting members that may be ejected at once; 0: none.",
        check=within(0, 100),
    )
    always_eject_one_host: bool = option(
        True, "One may be ejected where the percentage allows less than one, but never the last."
    )

    def build(self, rng: random.Random, clock: Clock) -> Modifier:
        """Make the modifier."""
        return OutlierEjection(self, clock)


@attrs.define
class _Record:
    failures: int = 0
    times: int = 0
    until: float = -inf


class OutlierEjection:
    """Implements `interface.Modifier` and `interface.Observer`."""

    def __init__(self, spec: OutlierEjectionSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        self._records: dict[str, _Record] = {}
        self._view = View(-1, ())
        self._modified = self._view
        self._ejected: frozenset[str] = frozenset()
        self._next = inf

    def modified(self, view: View) -> View:
        """Return the view with the ejected not accepting."""
        now = self._clock()
        if view is self._view and now < self._next:
            return self._modified
        if view is not self._view:
            records = self._records
            self._records = {name: records[name] for name in records if name in view.by_id}
        ejected = self._ejected_of(view, now)
        if view is not self._view or ejected != self._ejected:
            self._modified = replaced(
                view,
                {name: attrs.evolve(view.by_id[name], is_accepting=False) for name in ejected},
            )
        self._view, self._ejected = view, ejected
        self._next = min((self._records[name].until for name in ejected), default=inf)
        return self._modified

    def observed(self, member: str, seconds: float | None) -> None:
        """Count a failure, or forget those before; members out of sight are not judged."""
        if member not in self._view.by_id:
            return
        if seconds is not None:
            if member in self._records:
                self._records[member].failures = 0
            return
        record = self._records.setdefault(member, _Record())
        now = self._clock()
        if now < record.until:
            # It was on its way when the member was ejected.
            return
        record.failures += 1
        if record.failures >= self._spec.consecutive_failures:
            self._eject(record, now)

    def described(self, view: View) -> dict[str, dict[str, bool]]:
        """Return for each member whether it is ejected."""
        return {name: {"ejected": name in self._ejected} for name in view.by_id}

    def _eject(self, record: _Record, now: float) -> None:
        spec = self._spec
        if len(self._ejected_of(self._view, now)) >= self._most(self._view):
            # The next failure asks again.
            return
        if record.times:
            forgiven = int((now - record.until) / spec.base_ejection_time)
            record.times = max(0, record.times - forgiven)
        record.times += 1
        record.failures = 0
        record.until = now + min(spec.max_ejection_time, spec.base_ejection_time * record.times)
        self._next = -inf

    def _most(self, view: View) -> int:
        number = candidates(view)
        most = int(self._spec.max_ejection_percent * number / 100)
        if self._spec.always_eject_one_host and self._spec.max_ejection_percent:
            most = max(1, most)
        return max(0, min(most, number - 1))

    def _ejected_of(self, view: View, now: float) -> frozenset[str]:
        serving = [
            name
            for name, record in self._records.items()
            if record.until > now and view.by_id[name].is_accepting and view.by_id[name].weight > 0
        ]
        # Others may have left meanwhile: those that would come back first come back now.
        serving.sort(key=lambda name: (-self._records[name].until, name))
        return frozenset(serving[: self._most(view)])
