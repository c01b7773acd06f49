"""Picks: a strategy alone, as fast as it goes, on nodes that only fill up."""

from __future__ import annotations

import random
import time

from attrs import frozen

from balancers.interface import Member, View
from bench.simulation.choice import Choice

CHUNK = 10_000
"""Keys that are made at a time, outside of what is measured."""


@frozen
class Picks:
    """What a million picks cost, and where they went.

    :param per_second: picks, each counted as opened at once, per second of processor time.
    :param max_avg: clients of the fullest member over the average.
    :param min_avg: those of the emptiest.
    """

    per_second: float
    max_avg: float
    min_avg: float


def picked(choice: Choice, count: int, nodes: int, seed: int) -> Picks:
    """Place so many clients with different keys on equal members with room for all of them."""
    members = (Member(id=f"node-{number:03}/1", capacity=count + 1) for number in range(nodes))
    view = View(1, tuple(members))
    strategy = choice.build(random.Random(f"{seed}/picks"), time.monotonic)
    bits = random.Random(f"{seed}/keys").getrandbits
    placed = dict.fromkeys(view.by_id, 0)
    pick, opened = strategy.pick, strategy.opened
    pick(0, view)
    took = 0.0
    for start in range(0, count, CHUNK):
        keys = [bits(64) for _ in range(min(CHUNK, count - start))]
        names = []
        began = time.process_time()
        for key in keys:
            member = pick(key, view)
            if member is not None:
                opened(member.id)
                names.append(member.id)
        took += time.process_time() - began
        for name in names:
            placed[name] += 1
    average = sum(placed.values()) / nodes
    return Picks(count / took, max(placed.values()) / average, min(placed.values()) / average)
