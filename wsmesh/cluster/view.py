"""The cluster as one node sees it: immutable views, how they grow, and what changed between two.

What the registry lists and what peers say arrive in any order and more than once. Nothing that
merging does depends on the order where it matters: the higher incarnation wins, the later report
wins, and the dead stay dead.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import attrs
from attrs import field, frozen
from msgspec.structs import replace

import balancers.interface as placement
from wsmesh.cluster.nodes import Identity, NodeRecord, NodeState

MOST_BURIED = 4096
"""Ids whose dead incarnations are remembered; the registry refuses older ones by itself."""


@frozen(kw_only=True)
class Listed:
    """One node as the registry lists it.

    :param lease: seconds it has left; negative when it has run out.
    """

    record: NodeRecord
    lease: float


@frozen(kw_only=True)
class Listing:
    """What one beat brought from the registry.

    :param version: the registry's own.
    :param dead: incarnations that left or were declared dead.
    """

    version: int
    nodes: tuple[Listed, ...]
    dead: tuple[Identity, ...] = ()


@frozen(kw_only=True)
class Seen:
    """A member and what this node thinks of it.

    :param lease_ends: when its lease runs out unless renewed, by this node's monotonic clock.
    :param missing_since: when the registry stopped listing it, which it does when it lost its
        memory: a member gets time to be listed again.
    """

    record: NodeRecord
    lease_ends: float
    is_suspect: bool = False
    missing_since: float | None = None

    @property
    def state(self) -> NodeState:
        """SUSPECT, or what the node says of itself."""
        return NodeState.SUSPECT if self.is_suspect else self.record.own_state


@frozen(eq=False, kw_only=True)
class View:
    """The cluster at one moment. A changed view is a new one, with a higher version.

    :param version: orders the views of one node totally.
    :param registry: the version of the last listing that was merged.
    :param members: who is in the cluster, this node included, by id.
    :param buried: by id, the highest incarnation that is dead; it and those below never return.
    """

    version: int = 0
    registry: int = 0
    members: Mapping[str, Seen] = field(factory=dict)
    buried: Mapping[str, int] = field(factory=dict)

    def is_dead(self, who: Identity) -> bool:
        """Whether this incarnation is known to be dead."""
        return who.incarnation <= self.buried.get(who.node, -1)

    def seen(self, who: Identity) -> Seen | None:
        """Return the member of this very incarnation."""
        found = self.members.get(who.node)
        return found if found is not None and found.record.identity == who else None

    def is_first(self, node: str) -> bool:
        """Whether a node does what one of all should do; two doing it must do no harm."""
        healthy = [name for name, seen in self.members.items() if not seen.is_suspect]
        return not healthy or min(healthy) == node

    def merged(self, listing: Listing, now: float, grace: float) -> View:
        """Return the view with what a beat brought; listings come in the order they were read.

        :param now: monotonic seconds.
        :param grace: seconds that a member may be missing from listings, `[node] node_timeout`.
            One that stays away has left; that is no verdict, it may come back.
        """
        view = self
        for who in listing.dead:
            view = view.burying(who)
        for listed in listing.nodes:
            view = view._with(listed, now)
        listed_nodes = {listed.record.node for listed in listing.nodes}
        members = {
            node: kept
            for node, seen in view.members.items()
            if (kept := _kept(seen, node in listed_nodes, now, grace)) is not None
        }
        return view._changed(members=members, registry=listing.version)

    def disowned(self, listing: Listing) -> tuple[Identity, ...]:
        """Return who is listed although this view, with the listing merged, holds it dead.

        Those whose node runs in a higher incarnation, and those that a registry without its
        memory has taken back. Nobody watches them: whoever reads this accuses them, as refusing.
        """
        listed = (each.record.identity for each in listing.nodes)
        return tuple(who for who in listed if self.is_dead(who))

    def reported(
        self, who: Identity, *, report: int, connections: int, load: float, health: float,
        state: str,
    ) -> View:
        """Return the view with a newer report of a member; others change nothing."""
        seen = self.seen(who)
        if seen is None or report <= seen.record.report:
            return self
        record = replace(
            seen.record, report=report, connections=connections, load=load, health=health,
            state=state,
        )
        return self._replacing(attrs.evolve(seen, record=record))

    def suspecting(self, who: Identity) -> View:
        """Return the view with a member suspected: it gets no new clients."""
        return self._marked(who, is_suspect=True)

    def clearing(self, who: Identity) -> View:
        """Return the view with a member no longer suspected."""
        return self._marked(who, is_suspect=False)

    def burying(self, who: Identity) -> View:
        """Return the view in which this incarnation, and every one below it, is dead."""
        if self.is_dead(who):
            return self
        buried = {node: at for node, at in self.buried.items() if node != who.node}
        buried[who.node] = who.incarnation
        members = {
            node: seen
            for node, seen in self.members.items()
            if node != who.node or seen.record.incarnation > who.incarnation
        }
        kept = dict(islice(buried.items(), max(0, len(buried) - MOST_BURIED), None))
        return self._changed(members=members, buried=kept)

    def for_balancers(self) -> placement.View:
        """Return what strategies decide on: alive members accept, by their last reports."""
        return placement.View(self.version, tuple(map(_candidate, self.members.values())))

    def _with(self, listed: Listed, now: float) -> View:
        record, lease_ends = listed.record, now + listed.lease
        known = self.members.get(record.node)
        if self.is_dead(record.identity):
            return self
        if known is None:
            return self._replacing(Seen(record=record, lease_ends=lease_ends))
        if record.incarnation < known.record.incarnation:
            return self.burying(record.identity)
        if record.incarnation > known.record.incarnation:
            replaced = self.burying(known.record.identity)
            return replaced._replacing(Seen(record=record, lease_ends=lease_ends))
        newer = record if record.report >= known.record.report else known.record
        return self._replacing(
            attrs.evolve(known, record=newer, lease_ends=lease_ends, missing_since=None)
        )

    def _marked(self, who: Identity, *, is_suspect: bool) -> View:
        seen = self.seen(who)
        if seen is None or seen.is_suspect is is_suspect:
            return self
        return self._replacing(attrs.evolve(seen, is_suspect=is_suspect))

    def _replacing(self, seen: Seen) -> View:
        return self._changed(members={**self.members, seen.record.node: seen})

    def _changed(
        self, *, members: Mapping[str, Seen], buried: Mapping[str, int] | None = None,
        registry: int | None = None,
    ) -> View:
        new = attrs.evolve(
            self, members=members, buried=self.buried if buried is None else buried,
            registry=self.registry if registry is None else registry,
        )
        if (new.members, new.buried, new.registry) == (self.members, self.buried, self.registry):
            return self
        return attrs.evolve(new, version=self.version + 1)


def _kept(seen: Seen, is_listed: bool, now: float, grace: float) -> Seen | None:
    if is_listed:
        return seen
    if seen.missing_since is None:
        return attrs.evolve(seen, missing_since=now)
    return seen if now - seen.missing_since < grace else None


def _candidate(seen: Seen) -> placement.Member:
    record = seen.record
    return placement.Member(
        id=str(record.identity),
        address=record.listeners[0] if record.listeners else "",
        weight=record.weight,
        capacity=record.capacity,
        connections=record.connections,
        report=record.report,
        is_accepting=seen.state is NodeState.ALIVE,
        zone=record.zone,
        score=record.health,
    )
