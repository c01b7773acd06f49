"""When each client of a node that drains is told to go: a plan of the failover strategy.

Told all at once, ten thousand clients would come back within a second, most of them to nodes that
cannot take so many that fast. So they leave at `[failover] leave_rate`, and no node is sent more
than `accept_rate`, unless the deadline is nearer than that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from balancers.hashing import hash_bytes
from balancers.interface import View
from failover.interface import Orphan, Policy
from wsmesh.config.sections import Config
from wsmesh.config.strategies import built, installed

PLANNED_SHARE = 0.8
"""Of the time for a drain; the rest is for closing, and for clients that are slow to go."""


def departures(
    config: Config, view: View, own: str, clients: Sequence[str], within: float,
    rng: random.Random,
) -> list[tuple[float, str]]:
    """Return for each client, in order of time, in how many seconds it is told.

    :param view: the cluster as this node sees it; without other nodes clients leave evenly.
    :param own: id of this node in the view.
    :param within: seconds until the last one must be gone.
    """
    section, deadline = config.failover, PLANNED_SHARE * within
    if not clients or deadline <= 0:
        return [(0.0, client) for client in clients]
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
    planned = {move.session: move.at for move in moves}
    left = [client for client in clients if client not in planned]
    # Nobody has room for them, as far as this node knows: they come back to who has by then.
    pace = min(1 / section.leave_rate, deadline / max(1, len(left)))
    planned |= {client: number * pace for number, client in enumerate(left)}
    return sorted((at, client) for client, at in planned.items())
