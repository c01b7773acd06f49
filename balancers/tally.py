"""Counts connections per member: the last report and what was opened here since.

With reports that are seconds old, a strategy that trusts them alone sends every client of a
reconnect storm to the same members.
"""

from __future__ import annotations

from balancers.interface import Member, View

_NO_VIEW = View(-1, ())


class Tally:
    """The state of strategies that look at load or room; they read `room` and `load` directly.

    `room` is replaced, never changed, when the eligible members do; it is in the order of ids.
    Changing the view costs O(n), counting O(1) unless a member becomes full or gets room again.

    :ivar view: the view that `room` and `load` are about.
    :ivar room: its eligible members.
    :ivar load: id -> connections, of every member of the view.
    """

    __slots__ = ("_opened", "_reports", "load", "room", "view")

    def __init__(self) -> None:
        self.view = _NO_VIEW
        self.room: tuple[Member, ...] = ()
        self.load: dict[str, int] = {}
        self._opened: dict[str, int] = {}
        # id -> number of the report, and how many of those opened here it includes.
        self._reports: dict[str, tuple[int, int]] = {}

    def adopt(self, view: View) -> None:
        """Go by this view from now on."""
        opened, before = self._opened, self._reports
        # Somebody who is out of sight may come back with the same report.
        after = {name: report for name, report in before.items() if name in opened}
        for member in view.members:
            name = member.id
            number, baseline = before.get(name, (None, 0))
            if number != member.report:
                # A new report includes what is open now; from here on only changes count.
                number, baseline = member.report, opened.get(name, 0)
            after[name] = (number, baseline)
        self._reports = after
        self.load = {
            member.id: max(0, member.connections + opened.get(member.id, 0) - after[member.id][1])
            for member in view.members
        }
        self.view = view
        self._find_room()

    def opened(self, member: str) -> None:
        """Count a connection more."""
        self._opened[member] = self._opened.get(member, 0) + 1
        self._count(member)

    def closed(self, member: str) -> None:
        """Count a connection less.

        :raises ValueError: none is open.
        """
        left = self._opened.get(member, 0) - 1
        if left < 0:
            raise ValueError(f"{member}: closed more connections than were opened")
        if left:
            self._opened[member] = left
        else:
            del self._opened[member]
        self._count(member)

    def _count(self, name: str) -> None:
        member = self.view.by_id.get(name)
        if member is None:
            return
        had_room = self.load[name] < member.capacity
        since = self._opened.get(name, 0) - self._reports[name][1]
        self.load[name] = max(0, member.connections + since)
        if had_room != (self.load[name] < member.capacity):
            self._find_room()

    def _find_room(self) -> None:
        load = self.load
        self.room = tuple(
            member
            for member in self.view.members
            if member.is_accepting and member.weight > 0 and load[member.id] < member.capacity
        )
