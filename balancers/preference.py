"""Preference: a strategy that goes by one view as long as that has room, then by a wider one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from balancers.described import Described, described_by
from balancers.interface import Member, Modifier, Strategy, View, observers_of


class Preferring:
    """Implements `interface.Strategy` and `interface.Observer` around two instances of one.

    Two, because a strategy prepares itself for a view, and alternating would do that each time.

    :param narrowing: makes the view that is preferred; its members are those of the given one.
    """

    def __init__(self, narrowing: Modifier, preferred: Strategy, otherwise: Strategy) -> None:
        self._narrowing = narrowing
        self._preferred = preferred
        self._otherwise = otherwise
        self._learners = observers_of((preferred, otherwise))
        self._view = View(-1, ())

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return the preferred members, then the others."""
        narrow = self._narrowed(key, view)
        ranked = [view.by_id[member.id] for member in self._preferred.rank(key, narrow)]
        if narrow is view:
            return ranked
        names = {member.id for member in ranked}
        others = self._otherwise.rank(key, view)
        return [*ranked, *(member for member in others if member.id not in names)]

    def pick(self, key: int, view: View) -> Member | None:
        """Return the pick among the preferred, or among all when those are full."""
        narrow = self._narrowed(key, view)
        member = self._preferred.pick(key, narrow)
        if member is not None:
            return view.by_id[member.id]
        return None if narrow is view else self._otherwise.pick(key, view)

    def opened(self, member: str) -> None:
        """Count a connection on top of the member's report."""
        self._preferred.opened(member)
        self._otherwise.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._preferred.closed(member)
        self._otherwise.closed(member)

    def observed(self, member: str, seconds: float | None) -> None:
        """Tell the strategy."""
        for learner in self._learners:
            learner.observed(member, seconds)

    def described(self, view: View) -> Mapping[str, Mapping[str, Described]]:
        """Return what the strategy says, and the weights that the preference leaves."""
        said = described_by(self._preferred, view)
        return {
            name: {**said.get(name, {}), "weight": member.weight}
            for name, member in self._narrowing.modified(view).by_id.items()
        }

    def _narrowed(self, key: int, view: View) -> View:
        if view is not self._view:
            self._view = view
            # Used or not, it must see each view before more is opened: it tells by the reports in
            # it which connections they include.
            self._otherwise.rank(key, view)
        return self._narrowing.modified(view)
