"""Zone: members of the own zone are preferred as long as enough of them are well.

Envoy's rule for priorities: a zone serves by itself while its healthy share times the
overprovisioning factor is 1 or more, and hands on the rest below.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import attrs

from balancers.interface import Clock, Member, Modifier, View
from balancers.modifiers.views import replaced
from balancers.options import option, within


class Zone:
    """Implements `interface.Modifier`: others have less weight than their own, or none.

    It is a preference: a composed `Balancer` places clients elsewhere when everybody it prefers
    is full. It needs a strategy that goes by weights.
    """

    def __init__(self, *, zone: str, overprovisioning_factor: float) -> None:
        self._zone = zone
        self._factor = overprovisioning_factor
        self._view: View | None = None
        self._modified = View(-1, ())

    def modified(self, view: View) -> View:
        """Return the view with the weights of one side scaled down."""
        if view is not self._view:
            self._modified = self._scaled(view)
            self._view = view
        return self._modified

    def _scaled(self, view: View) -> View:
        here = [member for member in view.members if member.zone == self._zone]
        there = [member for member in view.members if member.zone != self._zone]
        local = min(1.0, self._factor * _healthy_share(here))
        remote = min(1.0 - local, self._factor * _healthy_share(there))
        if local == 0 or not there:
            return view
        share = local / (local + remote)
        # Weights of the other side per weight here, so that the shares come out.
        ratio = (1 - share) / share * _weight(here) / (_weight(there) or 1.0)
        scales = ((here, min(1.0, 1 / ratio if ratio else 1.0)), (there, min(1.0, ratio)))
        return replaced(
            view,
            {
                member.id: attrs.evolve(member, weight=member.weight * scale)
                for members, scale in scales
                for member in members
                if scale != 1
            },
        )


def _healthy_share(members: Sequence[Member]) -> float:
    return sum(member.is_eligible for member in members) / max(1, len(members))


def _weight(members: Sequence[Member]) -> float:
    return sum(member.weight for member in members if member.is_eligible)


@attrs.frozen(kw_only=True)
class ZoneSpec:
    """The options of `zone`."""

    zone: str = option("", "The own zone; empty: no zone is preferred.")
    overprovisioning_factor: float = option(
        1.4, "The own zone serves alone while its healthy share times this is at least 1.",
        check=within(1),
    )

    def build(self, rng: random.Random, clock: Clock) -> Modifier:
        """Make the modifier."""
        return Zone(zone=self.zone, overprovisioning_factor=self.overprovisioning_factor)
