"""One open mesh link: an authenticated WebSocket between two nodes, and its bounded outbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio
from attrs import define, field
from trio_websocket import WebSocketConnection

from wsmesh.cluster.mesh import auth
from wsmesh.cluster.mesh.messages import (
    Challenge,
    Message,
    Proof,
    Welcome,
    decode,
    encode,
)
from wsmesh.cluster.nodes import Identity

OUTBOX = 256
"""Messages that may wait for a slow peer; later ones are dropped, as on a lossy network."""
MAX_MESSAGE = 1024 * 1024
NOT_AUTHENTIC = 1008
"""Close code (RFC 6455 7.4.1, policy violation) for a peer that failed to prove the secret."""


@define(eq=False)
class Link:
    """A link to `peer`; `send` never waits."""

    peer: Identity
    _outbox: trio.MemorySendChannel[bytes] = field(init=False, repr=False)
    _queued: trio.MemoryReceiveChannel[bytes] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._outbox, self._queued = trio.open_memory_channel[bytes](OUTBOX)

    def send(self, message: Message) -> bool:
        """Queue a message; False when the link is closed or too far behind."""
        try:
            self._outbox.send_nowait(encode(message))
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def converse(self, ws: WebSocketConnection, hear: Hear) -> None:
        """Carry messages both ways until the link ends.

        :raises ExceptionGroup: of `ConnectionClosed`, the peer or the network ended it; or of
            `MalformedMessage`, the peer does not speak this protocol.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, ws)
                while True:
                    message = decode(await ws.get_message())
                    if message is not None:
                        hear(self, message)
        finally:
            self._outbox.close()
            self._queued.close()

    async def _write(self, ws: WebSocketConnection) -> None:
        async for text in self._queued:
            await ws.send_message(text)


M = TypeVar("M", Challenge, Proof, Welcome)
Hear = Callable[[Link, Message], None]
"""Takes a message of a link; must neither wait nor raise."""


async def dial_in(
    ws: WebSocketConnection, secret: bytes, own: Identity, nonce: str, expected: str
) -> Link:
    """Authenticate as the dialling node.

    :param expected: id of the node that should answer.
    :raises auth.NotAuthentic: it is another node, or does not know the secret.
    """
    asked = await _next(ws, Challenge)
    if asked.node != expected:
        raise auth.NotAuthentic(f"expected node {expected!r}, found {asked.node!r}")
    proof = auth.prove(secret, asked, own.node, own.incarnation, nonce)
    await ws.send_message(encode(proof))
    auth.check_welcome(secret, asked, proof, await _next(ws, Welcome))
    return Link(Identity(asked.node, asked.incarnation))


async def let_in(ws: WebSocketConnection, secret: bytes, own: Identity, nonce: str) -> Link:
    """Authenticate as the accepting node.

    :raises auth.NotAuthentic: the peer does not know the secret.
    """
    asked = auth.challenge(own.node, own.incarnation, nonce)
    await ws.send_message(encode(asked))
    proof = await _next(ws, Proof)
    if not auth.is_authentic(secret, asked, proof):
        await ws.aclose(NOT_AUTHENTIC, "not authentic")
        raise auth.NotAuthentic(f"node {proof.node!r} does not know [cluster] secret")
    await ws.send_message(encode(auth.welcome(secret, asked, proof)))
    return Link(Identity(proof.node, proof.incarnation))


async def _next(ws: WebSocketConnection, kind: type[M]) -> M:
    message = decode(await ws.get_message())
    if not isinstance(message, kind):
        raise auth.NotAuthentic(f"expected {kind.__name__.lower()}, found {message!r:.80}")
    return message
