"""Who goes when there are too many nodes."""

from __future__ import annotations

from wsmesh.cluster.scaling.signals import NodeSignal, Signals

NEW = 60.0
"""Seconds in which a node is still being filled; it goes only when no other can."""


def victims(signals: Signals, count: int, max_draining: int) -> tuple[NodeSignal, ...]:
    """Return the nodes that should drain now: those with the fewest clients, never the leader.

    :param count: how many are too many.
    :param max_draining: that drain at the same time, those that do already included.
    """
    draining = sum(node.is_leaving for node in signals.nodes)
    room = min(count, max_draining - draining)
    candidates = sorted(
        (node for node in signals.staying if not node.is_leader),
        key=lambda node: (node.age < NEW, not node.is_known, node.connections, node.id),
    )
    return tuple(candidates[: max(0, room)])
