"""The mesh: links to every peer, opened again whenever they break, and calls between nodes."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from secrets import token_hex
from ssl import SSLContext

import msgspec
import structlog
import trio
from attrs import define, field, frozen
from msgspec import UNSET, Raw

from wsmesh.cluster.mesh.doorstep import FAULTS, Failure, accepted, causes, dialled, failure_of
from wsmesh.cluster.mesh.link import Link, dial_in, let_in
from wsmesh.cluster.mesh.messages import Answer, Call, Message
from wsmesh.cluster.nodes import Identity
from wsmesh.errors import WsmeshError

HANDSHAKE = 2.0
"""Seconds for everything from the first byte to an authenticated link."""
STRANGERS = 64
"""Links that may be open without having authenticated."""
RETRY_FIRST, RETRY_MOST = 0.1, 2.0
"""Seconds before a lost link is dialled again, doubling; each wait is jittered downwards."""
CALLS = 256
"""Calls of peers that may be carried out at once."""
PATIENCE = 30.0
"""Seconds a call may take here, whatever its caller's deadline."""

log = structlog.get_logger("wsmesh.mesh")

Handler = Callable[[bytes], Awaitable[bytes]]
"""Carries out a call: JSON in, JSON out. May raise `WsmeshError`, whose text the caller gets."""


class CallFailed(WsmeshError):
    """A call has no result: the peer is not linked, did not answer in time, or says why."""


@frozen
class Peer:
    """Where a node's mesh listener is."""

    node: str
    host: str
    port: int


@define(eq=False, kw_only=True)
class Mesh:
    """This node's links.

    :param hear: takes probes, loads and the like; must neither wait nor raise.
    :param linked: told that a link to a peer was opened.
    :param unlinked: told that a node has none, and why.
    :param met: told of a node that opened a link to this one.
    :param handlers: by method, what peers may call.
    """

    own: Identity
    secret: bytes
    hear: Callable[[Link, Message], None]
    linked: Callable[[Identity], None]
    unlinked: Callable[[str, Failure], None]
    handlers: Mapping[str, Handler]
    met: Callable[[Identity], None] = lambda peer: None
    rng: random.Random
    server_tls: SSLContext | None = None
    client_tls: SSLContext | None = None
    _links: dict[str, Link] = field(factory=dict)
    _dialling: dict[str, tuple[Peer, trio.CancelScope]] = field(factory=dict)
    _nursery: trio.Nursery | None = None
    _strangers: int = 0
    _numbers: int = 0
    _carried_out: int = 0
    _pending: dict[int, tuple[str, trio.MemorySendChannel[Answer]]] = field(factory=dict)

    @property
    def peers(self) -> tuple[str, ...]:
        """The nodes that are linked now."""
        return tuple(self._links)

    async def run(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and dial until cancelled; the listeners are closed then."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.serve_listeners(self._accept, listeners, handler_nursery=nursery)
            finally:
                self._nursery = None
                self._dialling.clear()

    def set_peers(self, peers: Mapping[str, Peer]) -> None:
        """Dial these nodes, and no longer the others; `run` must be running."""
        assert self._nursery is not None
        for node, (peer, scope) in tuple(self._dialling.items()):
            if peers.get(node) != peer:
                scope.cancel()
                del self._dialling[node]
        for node, peer in peers.items():
            if node != self.own.node and node not in self._dialling:
                scope = trio.CancelScope()
                self._dialling[node] = (peer, scope)
                self._nursery.start_soon(self._keep_linked, peer, scope)

    def send(self, node: str, message: Message) -> bool:
        """Send to a linked node without waiting; False when that is not possible now."""
        link = self._links.get(node)
        return link is not None and link.send(message)

    async def call(self, node: str, method: str, params: bytes, within: float) -> bytes:
        """Have a peer carry something out; return its result.

        :param within: seconds.
        :raises CallFailed: there is no result. It may have been carried out all the same.
        """
        self._numbers += 1
        number = self._numbers
        answered, answer = trio.open_memory_channel[Answer](1)
        self._pending[number] = (node, answered)
        try:
            if not self.send(node, Call(number, method, Raw(params))):
                raise CallFailed(f"node {node} is not linked")
            with trio.move_on_after(within):
                outcome = await answer.receive()
                if outcome.result is UNSET:
                    raise CallFailed(outcome.error or "the node gave no reason")
                return bytes(outcome.result)
            raise CallFailed(f"node {node} did not answer within {within:g} s")
        finally:
            del self._pending[number]

    def tell(self, node: str, method: str, params: bytes) -> bool:
        """Have a peer carry something out, without waiting for how it ends."""
        return self.send(node, Call(0, method, Raw(params)))

    async def broadcast(
        self, method: str, params: bytes, within: float
    ) -> dict[str, bytes | CallFailed]:
        """Have every linked node carry something out; return each one's result."""
        outcomes: dict[str, bytes | CallFailed] = {}

        async def ask(node: str) -> None:
            try:
                outcomes[node] = await self.call(node, method, params, within)
            except CallFailed as failure:
                outcomes[node] = failure

        async with trio.open_nursery() as nursery:
            for node in self.peers:
                nursery.start_soon(ask, node)
        return outcomes

    # -- links ----------------------------------------------------------------------------------

    async def _keep_linked(self, peer: Peer, scope: trio.CancelScope) -> None:
        wait = RETRY_FIRST
        with scope:
            while True:
                began = trio.current_time()
                failure = await self._link_until_lost(peer)
                self.unlinked(peer.node, failure)
                if trio.current_time() - began > RETRY_MOST:
                    wait = RETRY_FIRST
                await trio.sleep(wait * self.rng.uniform(0.5, 1.0))
                wait = min(RETRY_MOST, 2 * wait)

    async def _link_until_lost(self, peer: Peer) -> Failure:
        link: Link | None = None
        failure = Failure.LOST
        try:
            with trio.fail_after(HANDSHAKE) as patience:
                async with dialled(peer.host, peer.port, self.client_tls) as ws:
                    link = await dial_in(ws, self.secret, self.own, token_hex(16), peer.node)
                    patience.deadline = math.inf
                    self._links[peer.node] = link
                    self.linked(link.peer)
                    await link.converse(ws, self._hear)
        except* FAULTS as faults:
            if link is None:
                failure = failure_of(faults)
            log.debug("mesh.no_link", peer=peer.node, why=failure.value, error=_text(faults))
        except* Exception:
            log.exception("mesh.link_crashed", peer=peer.node)
        finally:
            if link is not None and self._links.get(peer.node) is link:
                del self._links[peer.node]
                for number, (node, _) in tuple(self._pending.items()):
                    if node == peer.node:
                        self._answered(Answer(number, error=f"the link to node {node} was lost"))
        return failure

    async def _accept(self, stream: trio.abc.Stream) -> None:
        if self._strangers >= STRANGERS:
            await trio.aclose_forcefully(stream)
            return
        self._strangers += 1
        is_stranger = True
        try:
            with trio.fail_after(HANDSHAKE) as patience:
                async with accepted(stream, self.server_tls) as ws:
                    link = await let_in(ws, self.secret, self.own, token_hex(16))
                    patience.deadline = math.inf
                    self._strangers -= 1
                    is_stranger = False
                    self.met(link.peer)
                    await link.converse(ws, self._hear)
        except* FAULTS as faults:
            if is_stranger:
                log.warning("mesh.refused", error=_text(faults))
        except* Exception:
            log.exception("mesh.link_crashed")
        finally:
            if is_stranger:
                self._strangers -= 1

    # -- calls ----------------------------------------------------------------------------------

    def _hear(self, link: Link, message: Message) -> None:
        if isinstance(message, Answer):
            self._answered(message)
        elif isinstance(message, Call):
            self._take_call(link, message)
        else:
            self.hear(link, message)

    def _answered(self, answer: Answer) -> None:
        _, waiting = self._pending.get(answer.number, ("", None))
        if waiting is not None:
            with suppress(trio.WouldBlock):
                waiting.send_nowait(answer)

    def _take_call(self, link: Link, call: Call) -> None:
        handler = self.handlers.get(call.method)
        if handler is None:
            link.send(Answer(call.number, error=f"unknown method {call.method!r}"))
        elif self._nursery is None or self._carried_out >= CALLS:
            link.send(Answer(call.number, error="too many calls at once"))
        else:
            self._carried_out += 1
            self._nursery.start_soon(self._carry_out, link, call, handler)

    async def _carry_out(self, link: Link, call: Call, handler: Handler) -> None:
        try:
            with trio.fail_after(PATIENCE):
                answer = Answer(call.number, result=Raw(await handler(bytes(call.params))))
        except (WsmeshError, trio.TooSlowError, msgspec.MsgspecError) as error:
            answer = Answer(call.number, error=str(error) or "it took too long")
        except Exception:
            log.exception("mesh.call_crashed", method=call.method, peer=link.peer.node)
            answer = Answer(call.number, error="internal error")
        finally:
            self._carried_out -= 1
        link.send(answer)


def _text(faults: BaseException) -> str:
    return "; ".join(str(each) or type(each).__name__ for each in causes(faults))
