"""The other nodes as sessions need them, reached over the mesh."""

from __future__ import annotations

import time
from collections.abc import Mapping

import trio

from wsmesh.cluster.membership import Membership
from wsmesh.cluster.mesh.mesh import CallFailed
from wsmesh.cluster.nodes import Identity, NodeRecord
from wsmesh.errors import ReplyError
from wsmesh.session.orders import AnyOrder, NodeInfo, encode_order

ORDER = "order"
"""The method that orders are called by."""
WITHIN = 2.0
"""Seconds a peer may take; one that dies meanwhile is found out sooner or takes no longer."""

RETRY = 0.1
"""Seconds between attempts to ask a peer."""


class MeshPeers:
    """Implements `wsmesh.session.peers.Peers`."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    async def everywhere(self, order: AnyOrder) -> Mapping[str, bytes | Exception]:
        """Have every other node of the view carry out an order."""
        answers: dict[str, bytes | Exception] = {
            node: CallFailed(f"node {node} is not linked") for node in self._others()
        }
        answers.update(
            await self._membership.mesh.broadcast(ORDER, encode_order(order), WITHIN)
        )
        return answers

    async def ask(self, node: str, order: AnyOrder) -> bytes:
        """Have one node carry out an order; one that has just joined may not be linked yet.

        :raises ReplyError: 100 it could not be reached, or refused.
        """
        why = ""
        with trio.move_on_after(2 * WITHIN):
            while True:
                try:
                    return await self._membership.mesh.call(
                        node, ORDER, encode_order(order), WITHIN
                    )
                except CallFailed as error:
                    why = why or str(error)
                await trio.sleep(RETRY)
        raise ReplyError(100, why or f"node {node} does not answer", temporary=True)

    def tell(self, node: str, order: AnyOrder) -> None:
        """Have one node, or with "" every other one, carry out an order, without waiting.

        A node may be named with its incarnation; one that is gone needs to be told nothing.
        """
        mesh = self._membership.mesh
        named = node.partition("/")[0]
        for each in (named,) if named else mesh.peers:
            mesh.tell(each, ORDER, encode_order(order))

    def known(self) -> Mapping[str, NodeInfo]:
        """Return what the view says of the other nodes."""
        members = self._membership.view.members
        now = time.time()
        return {
            node: described(members[node].record, members[node].state.value, now)
            for node in self._others()
        }

    def is_gone(self, owner: str) -> bool:
        """Whether a node is known to be dead, or to run in a later incarnation."""
        node, _, incarnation = owner.rpartition("/")
        view = self._membership.view
        if not incarnation.isdecimal():
            return True
        if view.is_dead(Identity(node, int(incarnation))):
            return True
        seen = view.members.get(node)
        return seen is not None and seen.record.incarnation > int(incarnation)

    def _others(self) -> list[str]:
        own = self._membership.identity.node
        return [node for node in self._membership.view.members if node != own]


def described(record: NodeRecord, state: str, now: float) -> NodeInfo:
    """Return what operators see of a node that says this of itself.

    :param now: Unix time.
    """
    return NodeInfo(
        uid=record.node, name=record.name, version=record.version,
        num_clients=record.connections, incarnation=record.incarnation, state=state,
        zone=record.zone, weight=record.weight, capacity=record.capacity, release=record.release,
        uptime=max(0, int(now - record.started_at)),
    )
