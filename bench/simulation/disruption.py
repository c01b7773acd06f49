"""Disruption: how many keys belong elsewhere after a change of who serves.

Clients that are connected stay where they are; this is about where they would go if all of them
came anew, as after a loss, or when a cluster rebalances. Strategies without regard for keys move
nearly all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from balancers.hashing import mixed
from balancers.interface import Member, View
from bench.simulation.choice import Choice
from bench.simulation.scenario import NodeGroup
from bench.simulation.trace import Change

KEYS = 1_000


def disruption(
    groups: Sequence[NodeGroup], choice: Choice, seed: int, changes: Sequence[Change]
) -> tuple[int, int]:
    """Return how many keys moved over all changes, and how many had to.

    A key had to move when it was on a member that is gone, or is on one that was not there. A
    fresh instance of the strategy places the same keys one after the other, on empty nodes, before
    and after each change; it sees the current incarnations, and room for everybody.
    """
    moved = least = 0
    known: dict[tuple[str, ...], list[str | None]] = {}
    for change in changes:
        sides = []
        for serving in (change.before, change.after):
            names = tuple(serving.values())
            if names not in known:
                # Drawn anew each time: chance does not remember where it sent a key.
                rng = random.Random(f"{seed}/disruption/{len(known)}")
                known[names] = _placed(groups, choice, rng, seed, serving)
            sides.append(known[names])
        before, after = set(change.before.values()), set(change.after.values())
        for old, new in zip(*sides, strict=True):
            moved += old != new
            least += old != new and (old not in after or new not in before)
    return moved, least


def _placed(
    groups: Sequence[NodeGroup], choice: Choice, rng: random.Random, seed: int,
    serving: dict[int, str],
) -> list[str | None]:
    view = View(
        1,
        tuple(
            Member(id=name, weight=groups[node].weight, capacity=KEYS + 1, zone=groups[node].zone)
            for node, name in serving.items()
        ),
    )
    strategy = choice.build(rng, lambda: 0.0)
    placed: list[str | None] = []
    for number in range(KEYS):
        member = strategy.pick(mixed(seed, number), view)
        if member is not None:
            strategy.opened(member.id)
        placed.append(None if member is None else member.id)
    return placed
