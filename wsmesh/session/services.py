"""What every session of a node shares, opened once by `wsmesh.node`."""

from __future__ import annotations

import random
from collections.abc import Callable

from attrs import frozen

from wsmesh.channels.hub import Hub
from wsmesh.channels.namespaces import Namespaces
from wsmesh.config.sections import ClientSection, LimitsSection
from wsmesh.metrics import Metrics
from wsmesh.security.authenticator import Authenticator
from wsmesh.security.revocation import Revocations
from wsmesh.session.hooks import Hooks
from wsmesh.session.interest import Interest
from wsmesh.store.interface import Store
from wsmesh.timers import Timers


@frozen(kw_only=True)
class Services:
    """Shared parts of a node, and its clocks.

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
    timers: Timers
    metrics: Metrics
    node_id: str
    now: Callable[[], float]
    wall: Callable[[], float]
    rng: random.Random
