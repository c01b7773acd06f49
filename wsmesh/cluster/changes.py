"""What happened between two views, told to logs, sessions and presence."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from wsmesh.cluster.nodes import Identity, NodeRecord, NodeState
from wsmesh.cluster.view import Seen, View


@frozen
class Joined:
    """A node is in the cluster that was not, or its next incarnation is."""

    record: NodeRecord


@frozen
class Left:
    """A node is gone that said so before, or that the registry no longer knows."""

    who: Identity


@frozen
class Died:
    """An incarnation is dead: what it held is free, for good."""

    who: Identity


@frozen
class Suspected:
    """A node does not answer this one; it gets no new clients meanwhile."""

    who: Identity


@frozen
class Cleared:
    """A suspected node answers again."""

    who: Identity


@frozen
class Draining:
    """A node takes no new clients any more, by its own word."""

    who: Identity


Change = Joined | Left | Died | Suspected | Cleared | Draining

_GOING = (NodeState.DRAINING, NodeState.LEAVING)


def changes(old: View, new: View) -> tuple[Change, ...]:
    """Return what happened from one view to a later one, in the order of the nodes' ids.

    An incarnation that follows another comes after that one's end.
    """
    nodes = sorted(old.members.keys() | new.members.keys())
    return tuple(
        change
        for node in nodes
        for change in _of(old.members.get(node), new.members.get(node), new)
    )


def _of(before: Seen | None, after: Seen | None, new: View) -> Iterator[Change]:
    is_same = (
        before is not None
        and after is not None
        and before.record.identity == after.record.identity
    )
    if before is not None and not is_same:
        yield _end(before, new)
        before = None
    if after is None:
        return
    who = after.record.identity
    if before is None:
        yield Joined(after.record)
    if after.is_suspect and not (before is not None and before.is_suspect):
        yield Suspected(who)
    elif before is not None and before.is_suspect and not after.is_suspect:
        yield Cleared(who)
    was_going = before is not None and before.record.own_state in _GOING
    if after.record.own_state in _GOING and not was_going:
        yield Draining(who)


def _end(before: Seen, new: View) -> Change:
    who = before.record.identity
    if new.is_dead(who) and before.record.own_state is not NodeState.LEAVING:
        return Died(who)
    return Left(who)


def node_of(change: Change) -> str:
    """Return who it is about, `node/incarnation`."""
    return str(change.record.identity if isinstance(change, Joined) else change.who)
