"""The nodes as a gateway knows them: those that report, those of the registry, fixed ones.

Pure. A node that reports by itself counts by its reports, whatever the registry says of it, for
they are fresher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf

from attrs import evolve, frozen

from balancers import Member, View
from wsmesh.protocol.control import Report


@frozen
class Route:
    """How a member is reached.

    :param control: path of its control socket, if it is on this host.
    :param address: `HOST:PORT` for clients otherwise.
    """

    control: str = ""
    address: str = ""


class Fleet:
    """Members and routes; `view` is what strategies decide on.

    :param fixed: addresses of nodes that nobody reports.
    :param suspect_for: seconds that a member gets nobody after a failure.
    :ivar noticed: called when a node reported or was listed.
    """

    def __init__(self, fixed: Iterable[str] = (), *, suspect_for: float = 1.0) -> None:
        self._suspect_for = suspect_for
        self.noticed: Callable[[], None] = lambda: None
        self._reports: dict[str, Report] = {}
        self._listed: tuple[Member, ...] = ()
        self._fixed = tuple(Member(id=address, address=address) for address in fixed)
        self._suspects: dict[str, float] = {}
        self._routes: dict[str, Route] = {}
        self._view = View(0, ())
        self._is_stale = True
        self._next_change = inf

    # -- what is heard --------------------------------------------------------------------------

    def reported(self, control: str, report: Report) -> None:
        """The node behind a control socket said how it is."""
        self._reports[control] = report
        self._is_stale = True
        self.noticed()

    def lost(self, control: str) -> None:
        """A control socket is gone, or says nothing."""
        if self._reports.pop(control, None) is not None:
            self._is_stale = True

    def listed(self, members: Iterable[Member]) -> None:
        """These are the nodes of the registry."""
        members = tuple(members)
        if members != self._listed:
            self._listed = members
            self._is_stale = True
            self.noticed()

    def suspect(self, member: str, now: float) -> None:
        """A member could not be reached, or refused: nobody is placed there for a while."""
        self._suspects[member] = now + self._suspect_for
        self._is_stale = True

    # -- what follows ---------------------------------------------------------------------------

    def view(self, now: float) -> View:
        """Return the members; the same object as long as nothing has changed."""
        if self._is_stale or now >= self._next_change:
            self._renew(now)
        return self._view

    def route(self, member: str) -> Route | None:
        """Return how to reach a member of the last view, None: it is gone."""
        return self._routes.get(member)

    @property
    def reports(self) -> Mapping[str, Report]:
        """The last report of each control socket."""
        return self._reports

    def _renew(self, now: float) -> None:
        self._suspects = {name: until for name, until in self._suspects.items() if until > now}
        members: dict[str, Member] = {}
        routes: dict[str, Route] = {}
        local = {report.node for report in self._reports.values()}
        for control, report in self._reports.items():
            member = _member(report)
            members[member.id] = member
            routes[member.id] = Route(control=control, address=member.address)
        own = {address for report in self._reports.values() for address in report.listeners}
        for member in (*self._listed, *self._fixed):
            if member.id.rpartition("/")[0] in local or member.address in own:
                continue
            members[member.id] = member
            routes[member.id] = Route(address=member.address)
        for name in self._suspects:
            if name in members:
                members[name] = evolve(members[name], is_accepting=False)
        self._view = View(self._view.version + 1, tuple(members.values()))
        self._routes = routes
        self._next_change = min(self._suspects.values(), default=inf)
        self._is_stale = False


def _member(report: Report) -> Member:
    tcp = (each for each in report.listeners if not each.startswith("unix:"))
    return Member(
        id=f"{report.node}/{report.incarnation}",
        address=next(tcp, ""),
        weight=report.weight,
        capacity=report.capacity,
        connections=report.connections,
        report=report.report,
        is_accepting=report.is_ready,
        zone=report.zone,
        score=report.health,
    )
