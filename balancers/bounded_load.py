"""Bounded load: the first in a hash strategy's rank that is not above its share.

V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", arXiv 1608.01350:
when a client is placed, its member has at most ceil(c (L + 1) w / W) clients with it, L being all
others. That holds at the moment of placing; only moving clients restores it when many have left.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import ceil
from types import MappingProxyType
from typing import Any

import attrs
from attrs import Attribute, frozen

from balancers.interface import Clock, Member, Spec, Strategy, View
from balancers.maglev import MaglevSpec
from balancers.multi_probe import MultiProbeSpec
from balancers.options import option, within
from balancers.rendezvous import RendezvousSpec
from balancers.ring_hash import RingHashSpec
from balancers.tally import Tally

BASES: Mapping[str, type[Spec]] = MappingProxyType(
    {
        "maglev": MaglevSpec,
        "multi_probe": MultiProbeSpec,
        "rendezvous": RendezvousSpec,
        "ring_hash": RingHashSpec,
    }
)
"""What may be bounded."""


class BoundedLoad:
    """Implements `interface.Strategy` over another one.

    :param factor: c, how much above its share a member may get.
    """

    def __init__(self, base: Strategy, factor: float) -> None:
        self._base = base
        self._factor = factor
        self._tally = Tally()
        self._room: tuple[Member, ...] = ()
        self._names: frozenset[str] = frozenset()
        self._open_now = 0
        self._weight = 0.0

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return the base's rank, those with room within the bound first."""
        self._adopt(view)
        ranked = self._base.rank(key, view)
        per_weight = self._bound_per_weight()
        within_bound = [member for member in ranked if self._fits(member, per_weight)]
        return within_bound + [m for m in ranked if not self._fits(m, per_weight)]

    def pick(self, key: int, view: View) -> Member | None:
        """Return the first of the base's rank that has room within the bound."""
        self._adopt(view)
        per_weight = self._bound_per_weight()
        home = self._base.pick(key, view)
        if home is None or self._fits(home, per_weight):
            return home
        ranked = self._base.rank(key, view)
        return next((member for member in ranked if self._fits(member, per_weight)), home)

    def opened(self, member: str) -> None:
        """Count a connection on top of the member's report."""
        before = self._tally.load.get(member, 0)
        self._tally.opened(member)
        self._base.opened(member)
        self._count(member, before)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        before = self._tally.load.get(member, 0)
        self._base.closed(member)
        self._tally.closed(member)
        self._count(member, before)

    def _count(self, member: str, before: int) -> None:
        if self._tally.room is not self._room:
            self._find_shares()
        elif member in self._names:
            self._open_now += self._tally.load[member] - before

    def _adopt(self, view: View) -> None:
        if view is not self._tally.view:
            self._tally.adopt(view)
            self._find_shares()

    def _find_shares(self) -> None:
        room, load = self._tally.room, self._tally.load
        self._room = room
        self._names = frozenset(member.id for member in room)
        self._weight = sum(member.weight for member in room)
        self._open_now = sum(load[member.id] for member in room)

    def _bound_per_weight(self) -> float:
        return self._factor * (self._open_now + 1) / self._weight if self._room else 0.0

    def _fits(self, member: Member, per_weight: float) -> bool:
        # Rounded first: what should be a whole number must not become the next one.
        bound = ceil(round(per_weight * member.weight, 9))
        return self._tally.load[member.id] < bound


def _hashing(_: object, attribute: Attribute[Any], value: str) -> None:
    if value not in BASES:
        raise ValueError(
            f"{attribute.name}: expected one of {', '.join(BASES)}, found {value!r}"
        )


@frozen(kw_only=True)
class BoundedLoadSpec:
    """`strategy = "bounded_load"`."""

    base: str = option("rendezvous", "The strategy whose order is kept.", check=_hashing)
    balance_factor: float = option(
        1.25, "How much above its share a member may get; 1.25 is a quarter more.",
        check=within(1.0, 1000.0),
    )
    base_options: Mapping[str, Any] = option({}, "Options of the base.")

    def __attrs_post_init__(self) -> None:
        names = [each.name for each in attrs.fields(BASES[self.base])]  # type: ignore[arg-type]
        for name in self.base_options:
            if name not in names:
                raise ValueError(
                    f"base_options.{name}: {self.base} has no such option; it has "
                    f"{', '.join(names)}"
                )
        self._base()

    def _base(self) -> Spec:
        return BASES[self.base](**self.base_options)

    def build(self, rng: random.Random, clock: Clock) -> BoundedLoad:
        """Make the strategy."""
        return BoundedLoad(self._base().build(rng, clock), self.balance_factor)
