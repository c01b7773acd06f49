"""Pacing: placements become moves, each in a slot of its own. O(n log n)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from failover.interface import Move, Orphan, Policy
from failover.placement import Placement


def paced(
    orphans: Sequence[Orphan],
    placed: Sequence[Placement],
    policy: Policy,
    now: float,
    rng: random.Random,
) -> tuple[Move, ...]:
    """Return the moves in the order of the orphans.

    A slot is as long as the rate of its member says, or its home's; what happens in it happens at
    a random moment, so k slots' time sees k + 1 moves at most. `policy.within` first shortens
    waits, then slots.
    """
    into = _slots(Counter(each.to for each in placed), policy.rate, policy.within)
    out_of = _slots(
        Counter(each.orphan.home for each in placed if each.orphan.home),
        policy.leave_rate,
        policy.within,
    )
    begins = _begins(placed, into, out_of, policy)
    ends = [begin + into[each.to] for begin, each in zip(begins, placed, strict=True)]
    # Members and homes can get into each other's way, so that both need longer than each.
    shorter = min(1.0, policy.within / max(ends, default=policy.within))
    moves = {}
    for begin, each in zip(begins, placed, strict=True):
        slot = into[each.to]
        jitter = min(slot, out_of.get(each.orphan.home) or slot)
        at = now + (begin + rng.random() * jitter) * shorter
        moves[each.orphan.session] = Move(each.orphan.session, each.to, at, each.reason)
    return tuple(moves[each.session] for each in orphans if each.session in moves)


def _slots(counts: Counter[str], rate: float, within: float) -> dict[str, float]:
    return {member: min(1 / rate, within / count) for member, count in counts.items()}


def _begins(
    placed: Sequence[Placement],
    into: dict[str, float],
    out_of: dict[str, float],
    policy: Policy,
) -> list[float]:
    """Return for each placement when its slot begins, in seconds from now."""
    begins = [0.0] * len(placed)
    free = dict.fromkeys(into, 0.0)
    longest = 0.0
    for each in placed:
        free[each.to] += into[each.to]
        longest = max(longest, free[each.to])
    patience = max(0.0, policy.within - longest)
    free = dict.fromkeys(into, 0.0)
    for index in sorted(range(len(placed)), key=lambda index: placed[index].wait):
        to = placed[index].to
        begins[index] = max(free[to], min(placed[index].wait, patience))
        free[to] = begins[index] + into[to]
    if not any(out_of.values()):
        return begins
    free = dict.fromkeys(into, 0.0)
    gone = dict.fromkeys(out_of, 0.0)
    for index in sorted(range(len(placed)), key=begins.__getitem__):
        to, home = placed[index].to, placed[index].orphan.home
        begins[index] = max(begins[index], free[to], gone.get(home, 0.0))
        free[to] = begins[index] + into[to]
        if home:
            gone[home] = begins[index] + out_of[home]
    return begins
