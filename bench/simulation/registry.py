"""What gateways know of the nodes: the last reports, as views, without whom they suspect."""

from __future__ import annotations

import attrs

from balancers.interface import Member, View


class Registry:
    """The reports that arrived, and a view of them for every gateway.

    Gateways share reports, and so a view; one that suspects somebody has its own. `views` is
    right after `refresh`, which whoever places a client calls first when `is_stale`.

    :ivar views: for each gateway its view; always the same list.
    """

    __slots__ = ("_members", "_suspects", "_version", "is_stale", "views")

    def __init__(self, gateways: int) -> None:
        self._members: dict[str, Member] = {}
        self._suspects: list[dict[str, float]] = [{} for _ in range(gateways)]
        self._version = 0
        self.is_stale = True
        self.views = [View(0, ())] * gateways

    def put(self, member: Member) -> None:
        """Take a report."""
        self._members[member.id] = member
        self.is_stale = True

    def drop(self, name: str) -> None:
        """Forget a node that is gone; unknown ones are forgotten already."""
        self._members.pop(name, None)
        self.is_stale = True

    def suspect(self, gateway: int, name: str, until: float) -> None:
        """Let one gateway avoid a node until then."""
        self._suspects[gateway][name] = until
        self.is_stale = True

    def expire(self) -> None:
        """Look at suspicions anew, because one has passed."""
        self.is_stale = True

    def refresh(self, now: float) -> None:
        """Bring `views` up to date."""
        self._version += 1
        members = self._members
        shared = View(self._version, tuple(members.values()))
        for gateway, suspects in enumerate(self._suspects):
            if suspects:
                suspects = self._suspects[gateway] = {
                    name: until for name, until in suspects.items() if until > now
                }
            avoided = [members[name] for name in suspects if name in members]
            if avoided:
                held = {each.id: attrs.evolve(each, is_accepting=False) for each in avoided}
                view = View(self._version, tuple({**members, **held}.values()))
            else:
                view = shared
            self.views[gateway] = view
        self.is_stale = False
