"""A node's membership of its cluster: what it says of itself, and what the others may ask of it."""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import structlog
import trio
from attrs import field, frozen

import wsmesh
from wsmesh.cluster.changes import Change
from wsmesh.cluster.joining import agree_on_terms, open_mesh_socket
from wsmesh.cluster.membership import Membership
from wsmesh.cluster.nodes import Identity, NodeRecord
from wsmesh.cluster.registry import NodeRegistry
from wsmesh.config.sections import Config
from wsmesh.serving import Node
from wsmesh.session.mesh_peers import ORDER
from wsmesh.store.opening import Storage

LEAVE_WITHIN = 1.0
"""Seconds for the goodbye of a node that stops."""

log = structlog.get_logger("wsmesh.cluster")


@frozen(eq=False)
class Joined:
    """A membership, and the socket that its mesh listens on.

    :ivar changes: that the membership has seen, by name: joined, died, ...
    """

    membership: Membership
    sock: socket.socket
    changes: Counter[str] = field(factory=Counter)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be a member until cancelled; reports its start when others know this node."""
        try:
            await self.membership.run([self.sock], task_status=task_status)
        finally:
            self.sock.close()

    async def leave(self) -> None:
        """Say goodbye, in case there is somebody to say it to."""
        await self.membership.leave()


async def prepare_membership(
    config: Config, storage: Storage, *, node_id: str, name: str, listeners: Sequence[str],
    node: Callable[[], Node], answer: Callable[[bytes], Awaitable[bytes]], rng: random.Random,
) -> Joined:
    """Return the membership of a node that is about to run.

    :param listeners: addresses for clients.
    :param node: returns the node, once it is there.
    :param answer: carries out a peer's order; JSON in, JSON out.
    :raises ConfigError: `[cluster]` names something that cannot be used.
    :raises StoreUnavailable: the store went away.
    """
    assert storage.redis is not None
    registry = NodeRegistry(storage.redis, config.redis.prefix)
    terms = await agree_on_terms(config.node, config.cluster, registry)
    release = config.node.release or wsmesh.__version__
    # At once: a release that shall get nobody must not get those of its first second.
    share = (await registry.read()).releases.get(release, 1.0)
    sock, mesh = open_mesh_socket(config.cluster)
    record = NodeRecord(
        node=node_id, incarnation=1, name=name, listeners=tuple(listeners), mesh=mesh,
        url=config.node.url, release=release,
        zone=config.cluster.zone, weight=config.cluster.weight * share,
        capacity=config.node.max_connections, version=wsmesh.__version__, started_at=time.time(),
    )

    async def clean_up(who: Identity) -> None:
        assert storage.shared is not None
        await storage.shared.forget_node(str(who))

    changes: Counter[str] = Counter()

    def note(change: Change) -> None:
        # The membership has logged it; sessions ask the view when they need it.
        changes[type(change).__name__.lower()] += 1

    membership = Membership(
        record=record, terms=terms, registry=registry, rng=rng, clean_up=clean_up,
        vitals=lambda: node().vitals(), state=lambda: node().state,
        duty_changed=lambda duty: node().take_duty(duty), changed=note,
        handlers={ORDER: answer}, weight=config.cluster.weight,
    )
    return Joined(membership, sock, changes)
