"""A node that is condemned again and again stays away longer each time."""

from __future__ import annotations

import random

from wsmesh.cluster.rejoining import CEILING, FIRST, HELD_AFTER, Rejoining


def longest(low: float, high: float) -> float:
    return high


def test_waits_double_up_to_a_ceiling() -> None:
    rejoining = Rejoining(longest)
    waits = [rejoining.wait_after(1.0) for _ in range(20)]
    assert waits[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert max(waits) == waits[-1] == CEILING


def test_a_life_that_held_begins_anew() -> None:
    rejoining = Rejoining(longest)
    for _ in range(6):
        rejoining.wait_after(1.0)
    assert rejoining.wait_after(HELD_AFTER + 1) == FIRST


def test_nodes_do_not_come_back_in_step() -> None:
    waits = {Rejoining(random.Random(seed).uniform).wait_after(0.0) for seed in range(50)}
    assert len(waits) == 50 and all(0 <= wait <= FIRST for wait in waits)
