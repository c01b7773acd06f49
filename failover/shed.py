"""Shed: whom a plan found no room for is turned away. The last resort of every strategy."""

from __future__ import annotations

from collections.abc import Sequence

from balancers.interface import View
from failover.interface import Move, Orphan, Policy, Shed
from failover.placement import named_once, those_that_stay


def shed(
    view: View, orphans: Sequence[Orphan], moves: Sequence[Move], policy: Policy, now: float
) -> tuple[Shed, ...]:
    """Return who is turned away: each orphan without a move, in the order of the orphans.

    They may come back `policy.retry_after` seconds from now, not before the last move, and one
    after the other at the rate of all members that accept; those whom the policy turns away first
    come last. Nothing is left to chance. O(n log n).
    """
    moved = {move.session for move in moves}
    left = [orphan for orphan in named_once(orphans) if orphan.session not in moved]
    begin = max([now + policy.retry_after, *(move.at for move in moves)])
    accepting = sum(member.is_accepting and member.weight > 0 for member in view.members)
    slot = 1 / (policy.rate * max(1, accepting))
    retries = {
        orphan.session: begin + number * slot
        for number, orphan in enumerate(those_that_stay(left, policy.turn_away))
    }
    return tuple(Shed(orphan.session, retries[orphan.session]) for orphan in left)
