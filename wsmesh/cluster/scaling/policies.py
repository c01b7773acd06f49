"""Policies: the number of nodes that a load asks for, before windows and bounds.

Each is monotone: more connections never ask for fewer nodes. Sources: Kubernetes, "Horizontal Pod
Autoscaling" (target, tolerance); Agones, fleet autoscaler (buffer).
"""

from __future__ import annotations

from math import ceil

from wsmesh.config.scaling import ScalingSection

_ROUNDED = 9


def wanted(section: ScalingSection, connections: float, nodes: int, capacity: float) -> int:
    """Return how many nodes there should be.

    :param nodes: that there are, those that are on their way included.
    :param capacity: connections that a node takes.
    """
    if not nodes or capacity <= 0:
        return nodes
    load = connections / (nodes * capacity)
    if load > headroom(section, nodes):
        # Whatever the policy says: the loss of a node must be survived.
        grown = nodes + section.step
        return max(grown, _by_policy(section, connections, load, nodes, capacity))
    return _by_policy(section, connections, load, nodes, capacity)


def headroom(section: ScalingSection, nodes: int) -> float:
    """Return the load up to which the loss of `headroom_nodes` leaves the others below `limit`."""
    lost = section.headroom_nodes
    return (nodes - lost) / nodes * section.limit if 0 < lost < nodes else 1.0


def _by_policy(
    section: ScalingSection, connections: float, load: float, nodes: int, capacity: float
) -> int:
    match section.policy:
        case "target_tracking":
            return _tracking(section, load, nodes)
        case "buffer":
            return _buffer(section.buffer, connections, capacity)
    return _step(section, load, nodes)


def _step(section: ScalingSection, load: float, nodes: int) -> int:
    """Add above the one threshold, remove below the other, and never so that it turns round."""
    up, down, step = section.scale_up_threshold, section.scale_down_threshold, section.step
    if load > up:
        return nodes + step
    fewer = min(step, nodes - 1)
    while load < down and fewer:
        after = nodes - fewer
        if load * nodes / after < min(up, headroom(section, after)) - section.margin:
            return after
        fewer -= 1
    return nodes


def _tracking(section: ScalingSection, load: float, nodes: int) -> int:
    ratio = load / section.target
    if abs(ratio - 1) <= section.tolerance:
        return nodes
    return max(1, ceil(round(nodes * ratio, _ROUNDED)))


def _buffer(buffer: float, connections: float, capacity: float) -> int:
    if buffer < 1:
        return max(1, ceil(round(connections / (capacity * (1 - buffer)), _ROUNDED)))
    return max(1, ceil(round((connections + buffer) / capacity, _ROUNDED)))
