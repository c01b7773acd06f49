"""Failback: whether sessions go back when the member that they had to leave returns.

`FAILBACKS` names what there is. Never back and forth: a session that a plan moved stays for a
window, and a home that comes and goes gets nobody.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from math import ceil
from types import MappingProxyType
from typing import Protocol

from attrs import evolve, frozen

from balancers.interface import Member, View
from balancers.options import option, within
from failover.interface import Move, Orphan, Policy
from failover.pacing import paced
from failover.placement import Placement, name_of_id, named_once, rooms, those_that_stay


class Failback(Protocol):
    """Decides about strays: sessions whose `former` home is not their `home`."""

    def welcomed(self, stray: Orphan, view: View) -> str | None:
        """Return the member (by id) for a stray that reconnects by itself, None: as any client."""

    def plan(
        self,
        view: View,
        strays: Sequence[Orphan],
        returned: Mapping[str, float],
        policy: Policy,
        now: float,
        rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return who goes back and when, in the order of the strays.

        :param returned: id of a member -> since when it accepts without a break.
        """


def former_home(stray: Orphan, view: View) -> str | None:
    """Return the id under which the former home is back and eligible."""
    name = name_of_id(stray.former)
    for member in view.members:
        if name_of_id(member.id) == name and member.is_eligible and member.id != stray.home:
            return member.id
    return None


@frozen(kw_only=True)
class NoFailback:
    """`failback = "none"`: they stay, and reconnect as any client does."""

    def welcomed(self, stray: Orphan, view: View) -> str | None:
        """Return None."""
        return None

    def plan(
        self, view: View, strays: Sequence[Orphan], returned: Mapping[str, float], policy: Policy,
        now: float, rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return no moves."""
        return ()


@frozen(kw_only=True)
class OnReconnect:
    """`failback = "on_reconnect"`: they stay until they reconnect by themselves, then go back."""

    def welcomed(self, stray: Orphan, view: View) -> str | None:
        """Return the former home while it is eligible."""
        return former_home(stray, view)

    def plan(
        self, view: View, strays: Sequence[Orphan], returned: Mapping[str, float], policy: Policy,
        now: float, rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return no moves."""
        return ()


@frozen(kw_only=True)
class Gradual:
    """`failback = "gradual"`: they are moved back slowly, and at once as they reconnect."""

    stable: float = option(
        30.0, "How long a home must have been back, without a break, before anybody is moved.",
        check=within(0.0), unit="s",
    )
    rate: float = option(
        20.0, "Sessions per second that go back to one home.", check=within(0.0, above=True)
    )
    window: float = option(
        600.0, "How long a session that a plan moved stays where it is.", check=within(0.0),
        unit="s",
    )

    def welcomed(self, stray: Orphan, view: View) -> str | None:
        """Return the former home while it is eligible."""
        return former_home(stray, view)

    def plan(
        self, view: View, strays: Sequence[Orphan], returned: Mapping[str, float], policy: Policy,
        now: float, rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return moves to homes that are stable, up to each one's share of all connections.

        Those that the policy turns away first are moved first, because moving them matters least.
        """
        named = named_once(strays)
        room = _room_within_share(view)
        back: defaultdict[str, list[str]] = defaultdict(list)
        for member in room:
            if now - returned.get(member, now) >= self.stable:
                back[name_of_id(member)].append(member)
        placed = []
        for stray in reversed(those_that_stay(named, policy.turn_away)):
            if not stray.former or now - stray.moved < self.window:
                continue
            home = next((each for each in back[name_of_id(stray.former)] if room[each] > 0), None)
            if home is not None and home != stray.home:
                room[home] -= 1
                placed.append(Placement(stray, home, "failback"))
        return paced(named, placed, evolve(policy, rate=min(self.rate, policy.rate)), now, rng)


def _room_within_share(view: View) -> Counter[str]:
    """Return for each eligible member how many more it can take before it is above average."""
    serving = [member for member in view.members if member.is_accepting and member.weight > 0]
    level = sum(m.connections for m in serving) / sum(m.weight for m in serving) if serving else 0.0

    def share(member: Member) -> int:
        return ceil(round(level * member.weight, 9)) - member.connections

    members = view.by_id
    return Counter({
        name: max(0, min(left, share(members[name]))) for name, left in rooms(view).items()
    })


FAILBACKS: Mapping[str, type[Failback]] = MappingProxyType(
    {"none": NoFailback, "on_reconnect": OnReconnect, "gradual": Gradual}
)
