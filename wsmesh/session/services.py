"""What every session of a node shares, opened once by `wsmesh.node`."""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import define

from wsmesh.channels.hub import Hub
from wsmesh.channels.namespaces import Namespaces
from wsmesh.config.sections import ClientSection, LimitsSection
from wsmesh.metrics import Metrics
from wsmesh.security.authenticator import Authenticator
from wsmesh.security.revocation import Revocations
from wsmesh.session.allowances import Allowances
from wsmesh.session.headcount import Headcount
from wsmesh.session.hooks import Hooks
from wsmesh.session.interest import Interest
from wsmesh.session.peers import Peers
from wsmesh.session.tenure import Tenures
from wsmesh.store.interface import Store
from wsmesh.store.users import UserStore
from wsmesh.timers import Timers


@define(eq=False, kw_only=True)
class Services:
    """Shared parts of a node, and its clocks.

    `client`, `limits`, `namespaces` and `authenticator` are others after the configuration was
    reloaded (`wsmesh.ingress.reloading`), so keep none of them.

    :param users: what nodes share of users; None on a node alone.
    :param return_window: seconds that all clients of this node need to come back elsewhere.
    :param now: seconds, monotonic; for intervals.
    :param wall: Unix time; only for what tokens say.
    """

    client: ClientSection
    limits: LimitsSection
    namespaces: Namespaces
    hub: Hub
    store: Store
    interest: Interest
    authenticator: Authenticator
    revocations: Revocations
    hooks: Hooks
    tenures: Tenures
    peers: Peers
    headcount: Headcount
    allowances: Allowances
    users: UserStore | None
    timers: Timers
    metrics: Metrics
    node_id: str
    return_window: Callable[[], float]
    now: Callable[[], float]
    wall: Callable[[], float]
    rng: random.Random
