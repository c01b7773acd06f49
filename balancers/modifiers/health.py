"""Health: a member's weight is scaled by its score, and below a score it gets nobody."""

from __future__ import annotations

import random
from math import ceil

import attrs

from balancers.interface import Clock, Member, Modifier, View
from balancers.modifiers.views import replaced
from balancers.options import option, within


class Health:
    """Implements `interface.Modifier`.

    The score is spent by it: whoever sees the view afterwards finds 1, so that it does not count
    twice with `least_load`.

    :param step: scores are rounded up to multiples of it, because each change of a weight moves
        keys of the strategies that hash; 0: not rounded.
    """

    def __init__(self, *, min_score: float, step: float) -> None:
        self._min_score = min_score
        self._step = step
        self._view: View | None = None
        self._modified = View(-1, ())

    def modified(self, view: View) -> View:
        """Return the view with weights by score."""
        if view is not self._view:
            self._modified = replaced(
                view,
                {member.id: self._judged(member) for member in view.members if member.score < 1},
            )
            self._view = view
        return self._modified

    def _judged(self, member: Member) -> Member:
        score = member.score
        is_well = member.is_accepting and score >= self._min_score
        if self._step:
            # A hair less, because 0.15 / 0.05 is a hair more than 3.
            score = min(1.0, ceil(score / self._step - 1e-9) * self._step)
        return attrs.evolve(
            member, is_accepting=is_well, weight=member.weight * score, score=1.0
        )


@attrs.frozen(kw_only=True)
class HealthSpec:
    """The options of `health`."""

    min_score: float = option(
        0.1, "Members with a lower score get nobody.", check=within(0, 1)
    )
    step: float = option(
        0.05,
        "Scores are rounded up to multiples of this, so that keys do not move with every report; "
        "0: not rounded.",
        check=within(0, 1),
    )

    def build(self, rng: random.Random, clock: Clock) -> Modifier:
        """Make the modifier."""
        return Health(min_score=self.min_score, step=self.step)
