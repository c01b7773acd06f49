"""Panic: when too few members are judged well, that judgement is ignored.

Placing everybody on the few that are left would bring these down too; and when nearly all look
unwell at once, the judgement is more likely wrong than they are (Envoy's panic threshold).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import attrs

from balancers.described import Described, described_by
from balancers.interface import Clock, Modifier, View, observers_of
from balancers.modifiers.views import candidates
from balancers.options import option, within


class Panic:
    """Implements `interface.Modifier` and `interface.Observer` around others that judge.

    Only what those said is ignored: members that drain, are fenced or suspected do not accept in
    the view it is given, and stay out.
    """

    def __init__(self, judges: Sequence[Modifier], *, threshold: float) -> None:
        self._judges = tuple(judges)
        self._learners = observers_of(self._judges)
        self._threshold = threshold
        self._view: View | None = None
        self._judged: View | None = None
        self._is_panicking = False

    def modified(self, view: View) -> View:
        """Return the view as it was judged, or as it was when too few are left."""
        judged = view
        for judge in self._judges:
            judged = judge.modified(judged)
        if view is not self._view or judged is not self._judged:
            self._is_panicking = candidates(judged) < self._threshold * candidates(view)
            self._view, self._judged = view, judged
        return view if self._is_panicking else judged

    def observed(self, member: str, seconds: float | None) -> None:
        """Tell those that judge."""
        for learner in self._learners:
            learner.observed(member, seconds)

    def described(self, view: View) -> dict[str, dict[str, Described]]:
        """Return for each member what the judges say, and whether that is ignored."""
        facts: dict[str, dict[str, Described]] = {
            name: {"panic": self._is_panicking} for name in view.by_id
        }
        for judge in self._judges:
            for name, said in described_by(judge, view).items():
                facts[name].update(said)
        return facts


@attrs.frozen(kw_only=True)
class PanicSpec:
    """The options of `panic`."""

    threshold: float = option(
        0.5,
        "When less than this share of the accepting members is left by health and "
        "outlier_ejection, both are ignored; 0: never.",
        check=within(0, 1),
    )

    def build(self, rng: random.Random, clock: Clock) -> Modifier:
        """Make it with nobody to overrule; `around` is what has an effect."""
        return self.around(())

    def around(self, judges: Sequence[Modifier]) -> Panic:
        """Make the modifier that applies these, and ignores them in a panic."""
        return Panic(judges, threshold=self.threshold)
