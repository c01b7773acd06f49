"""The other nodes, as far as sessions need them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from wsmesh.errors import ReplyError
from wsmesh.session.orders import AnyOrder, NodeInfo


class Peers(Protocol):
    """Reaches the other nodes of the cluster."""

    async def everywhere(self, order: AnyOrder) -> Mapping[str, bytes | Exception]:
        """Have every other live node carry out an order; return what each answered, JSON.

        A node that could not be reached, or refused, answers with an exception.
        """

    async def ask(self, node: str, order: AnyOrder) -> bytes:
        """Have one node carry out an order; return what it answers, JSON.

        :raises ReplyError: 100 it could not be reached, or refused.
        """

    def tell(self, node: str, order: AnyOrder) -> None:
        """Have one node carry out an order, without waiting; "" is every other node."""

    def known(self) -> Mapping[str, NodeInfo]:
        """Return what is known of the other nodes without asking them."""

    def is_gone(self, owner: str) -> bool:
        """Whether a node, `node/incarnation`, is known to be dead."""


class Alone:
    """A node without a cluster has no peers."""

    async def everywhere(self, order: AnyOrder) -> Mapping[str, bytes | Exception]:
        """Nobody else is there."""
        return {}

    async def ask(self, node: str, order: AnyOrder) -> bytes:
        """Nobody else is there."""
        raise ReplyError(100, f"node {node} is not there", temporary=True)

    def tell(self, node: str, order: AnyOrder) -> None:
        """Nobody else is there."""

    def known(self) -> Mapping[str, NodeInfo]:
        """Nobody else is there."""
        return {}

    def is_gone(self, owner: str) -> bool:
        """Nobody else is there."""
        return True
