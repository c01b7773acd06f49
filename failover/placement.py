"""Placements: who gets which member, before anybody says when. What strategies are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil

from attrs import evolve, frozen

from balancers.interface import Member, Strategy, View
from failover.interface import Order, Orphan

Choose = Callable[[Orphan, View], "Member | None"]


@frozen
class Placement:
    """One orphan gets one member.

    :param wait: seconds from now before it may move.
    """

    orphan: Orphan
    to: str
    reason: str
    wait: float = 0.0


def named_once(orphans: Iterable[Orphan]) -> list[Orphan]:
    """Return the orphans in their order, each session as it was named first."""
    named: dict[str, Orphan] = {}
    for orphan in orphans:
        named.setdefault(orphan.session, orphan)
    return [*named.values()]


def those_that_stay(orphans: Iterable[Orphan], turn_away: Order) -> list[Orphan]:
    """Return the orphans, those that are turned away first at the end; ids decide ties."""
    if turn_away == "newest":
        return sorted(orphans, key=lambda orphan: (orphan.since, orphan.session))
    return sorted(orphans, key=lambda orphan: (-orphan.active, orphan.session))


def rooms(view: View) -> dict[str, int]:
    """Return for each eligible member (by id) how many more it can take."""
    return {
        member.id: member.capacity - member.connections
        for member in view.members
        if member.is_eligible
    }


def by_home(orphans: Sequence[Orphan], view: View, turn_away: Order) -> Iterator[
    tuple[View, list[Orphan]]
]:
    """Give orphans of one home after the other, with the view that they can choose from.

    One home after the other, because strategies prepare themselves for every other view. When
    there is less room than orphans, those come first that shall have it.
    """
    queue = those_that_stay(orphans, turn_away)
    room = sum(rooms(view).values())
    for wave in (queue[:room], queue[room:]):
        leaving: dict[str, list[Orphan]] = {}
        for orphan in wave:
            # Homes that are gone anyway share the view.
            leaving.setdefault(orphan.home if orphan.home in view.by_id else "", []).append(orphan)
        for home, orphans_of_home in leaving.items():
            yield view.without(home) if home else view, orphans_of_home


def placed_by(
    balancer: Strategy, view: View, orphans: Sequence[Orphan], turn_away: Order, reason: str,
    choose: Choose | None = None,
) -> list[Placement]:
    """Place orphans by the balancer, or where `choose` says, counting them as they are placed."""
    placed = []
    for others, leaving in by_home(orphans, view, turn_away):
        for orphan in leaving:
            member = choose(orphan, others) if choose else balancer.pick(orphan.key, others)
            if member is not None:
                balancer.opened(member.id)
                placed.append(Placement(orphan, member.id, reason))
    return placed


def herd_bounds(view: View, orphans: Sequence[Orphan], factor: float) -> dict[str, int]:
    """Return for each eligible member how many orphans it takes: ceil(factor n w / W).

    Those are moves of one plan, whatever the load; where rooms are small, more must go elsewhere.
    """
    eligible = [member for member in view.members if member.is_eligible]
    weight = sum(member.weight for member in eligible)
    # Rounded first: what should be a whole number must not become the next one.
    return {
        member.id: ceil(round(factor * len(orphans) * member.weight / weight, 9))
        for member in eligible
    }


def unplaced(orphans: Iterable[Orphan], placed: Iterable[Placement]) -> list[Orphan]:
    """Return the orphans that have no placement yet."""
    done = {placement.orphan.session for placement in placed}
    return [orphan for orphan in orphans if orphan.session not in done]


def after(view: View, placed: Iterable[Placement]) -> View:
    """Return the view in which the placed are counted."""
    arrived = Counter(placement.to for placement in placed)
    return View(
        view.version,
        tuple(
            evolve(member, connections=member.connections + arrived[member.id])
            for member in view.members
        ),
    )


def name_of_id(member: str) -> str:
    """Return the name in a member's id, without the incarnation."""
    return member.rpartition("/")[0] or member
