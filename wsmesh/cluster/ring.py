"""Who watches whom: every node watches those that follow it when all ids stand in a circle."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator

MONITORS = 3
"""Nodes that watch each one, when there are as many."""


def following(nodes: Collection[str], own: str) -> Iterator[str]:
    """Yield all other nodes, beginning with the one that follows `own`."""
    circle = sorted(set(nodes) - {own})
    first = bisect_right(circle, own)
    yield from circle[first:]
    yield from circle[:first]


def watched(
    nodes: Collection[str], own: str, suspects: Collection[str], count: int = MONITORS
) -> tuple[str, ...]:
    """Return the next `count` nodes that are not suspected, and the suspects on the way.

    So those that died beside a node do not leave it without monitors.
    """
    found: list[str] = []
    left = count
    for node in following(nodes, own):
        if left == 0:
            break
        found.append(node)
        left -= node not in suspects
    return tuple(found)


def in_turn(nodes: Collection[str], number: int, count: int) -> list[str]:
    """Return up to `count` of the nodes, others for the next number."""
    circle = sorted(nodes)
    first = number % len(circle) if circle else 0
    return (circle[first:] + circle[:first])[:count]
