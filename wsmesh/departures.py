"""Which client of a node goes where and when: plans of the failover strategy.

Told all at once, ten thousand clients would come back within a second, most of them to nodes that
cannot take so many that fast. So they leave at `[failover] leave_rate`, and no node is sent more
than `accept_rate`, unless the deadline is nearer than that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from attrs import frozen

from balancers.hashing import hash_bytes
from balancers.interface import View
from failover.interface import Orphan, Policy
from wsmesh.config.sections import Config
from wsmesh.config.strategies import built, installed

PLANNED_SHARE = 0.8
"""Of the time for a drain; the rest is for closing, and for clients that are slow to go."""

LONGEST_WINDOW = 60.0
"""Seconds: who waits longer takes the service for dead."""


@frozen(order=True)
class Departure:
    """One client is told to go.

    :param at: seconds from now.
    :param client: its id.
    :param to: id of the member it goes to, empty: whoever takes it.
    """

    at: float
    client: str
    to: str = ""


def departures(
    config: Config, view: View, own: str, clients: Sequence[str], within: float,
    rng: random.Random,
) -> list[Departure]:
    """Return for each client, in order of time, when it is told and where it goes.

    :param view: the cluster as this node sees it; without other nodes clients leave evenly.
    :param own: id of this node in the view.
    :param within: seconds until the last one must be gone.
    """
    section, deadline = config.failover, PLANNED_SHARE * within
    if not clients or deadline <= 0:
        return [Departure(0.0, client) for client in clients]
    policy = Policy(rate=section.accept_rate, leave_rate=section.leave_rate, within=deadline)
    orphans = [
        Orphan(client, hash_bytes(client.encode()), home=own) for client in clients
    ]
    known = installed()
    balancer, _ = built(
        config.balancer.strategy, known.balancers[config.balancer.strategy],
        config.balancer.options, "balancer.options",
    )
    strategy, _ = built(
        section.strategy, known.failovers[section.strategy], section.options, "failover.options"
    )
    moves = strategy.build(balancer).plan(view.without(own), orphans, policy, 0.0, rng)
    planned = {move.session: Departure(move.at, move.session, move.to) for move in moves}
    left = [client for client in clients if client not in planned]
    # Nobody has room for them, as far as this node knows: they come back to who has by then.
    pace = min(1 / section.leave_rate, deadline / max(1, len(left)))
    late = (Departure(number * pace, client) for number, client in enumerate(left))
    return sorted((*planned.values(), *late))


def return_window(view: View, own: str, connections: int, accept_rate: float) -> float:
    """Return the seconds that all clients of this node need to come back after it was lost.

    Each of the others takes `accept_rate` of them a second; a node alone takes them again itself.
    """
    others = sum(member.is_eligible and member.id != own for member in view.members)
    return min(LONGEST_WINDOW, connections / (accept_rate * max(1, others)))
