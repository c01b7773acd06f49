"""One client at the gateway: its request head is read, it is placed, and its socket handed over.

Garbage, heads that are too large and clients that are too slow end here: nodes never see them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from math import ceil

import structlog
import trio
from attrs import define, frozen

from wsmesh.config.sections import Config, Listener
from wsmesh.gateway.affinity import Affinity
from wsmesh.gateway.fleet import Route
from wsmesh.gateway.forwarding import forwarded, with_headers
from wsmesh.gateway.links import Links
from wsmesh.gateway.metrics import GatewayMetrics
from wsmesh.gateway.placing import Placing
from wsmesh.gateway.reading import (
    READ,
    End,
    head_in,
    read_head,
    read_proxy_header,
    receive_into,
    send_all,
)
from wsmesh.gateway.relay import Relay
from wsmesh.gateway.site import GatewaySite
from wsmesh.gateway.turnstile import QueueFull, Turnstile
from wsmesh.ingress.tls import Certificate, TLSSocket
from wsmesh.security.addresses import TrustedProxies, client_address
from wsmesh.wire.http import BadRequest, Request, response
from wsmesh.wire.proxy_protocol import ProxyHeaderError
from wsmesh.wire.refusal import error_body, explained

FAREWELL = 1.0
"""Seconds a refused client has to read why."""

log = structlog.get_logger("wsmesh.gateway")


@frozen(eq=False)
class _Carried:
    """A relayed connection's other end, and what was read from it already."""

    far: socket.socket
    answer: bytes = b""


@define(eq=False, kw_only=True)
class Desk:
    """What all arrivals share; a reload exchanges `config`, `affinity` and `proxies`.

    :ivar arriving: clients that are here.
    """

    config: Config
    placing: Placing
    links: Links
    relay: Relay
    affinity: Affinity
    proxies: TrustedProxies
    turnstile: Turnstile
    site: GatewaySite
    metrics: GatewayMetrics
    clock: Callable[[], float]
    arriving: int = 0


@define(eq=False)
class Arrival:
    """One accepted socket; `serve` closes it, unless a node has it then.

    :param address: of the peer, empty on a Unix socket.
    """

    _desk: Desk
    _socket: socket.socket
    address: str
    _listener: Listener
    _certificate: Certificate | None
    _is_relayed: bool = False

    async def serve(self) -> None:
        """Live until the client is somebody else's, or gone. One client's fault ends here."""
        desk = self._desk
        desk.arriving += 1
        end: End = self._socket
        try:
            if desk.arriving > desk.config.gateway.max_waiting:
                desk.metrics.refused.add("busy")
                await self._say(end, self._unavailable("too many clients at once"))
                return
            if self._certificate is not None and desk.config.gateway.tls == "terminate":
                end = TLSSocket(self._socket, self._certificate.context)
            await self._receive(end)
        except (OSError, ProxyHeaderError, EOFError) as error:
            # The client went away, or never was one.
            log.debug("gateway.client_lost", address=self.address, error=str(error))
        except Exception:  # the barrier around each client, as around each connection of a node
            desk.metrics.refused.add("fault")
            log.exception("gateway.client_failed", address=self.address)
        finally:
            if not self._is_relayed:
                desk.arriving -= 1
            self._socket.close()

    async def _receive(self, end: End) -> None:
        desk = self._desk
        begun = bytearray()
        request: Request | None = None
        try:
            # Mostly the head is here already, and needs no deadline.
            if self._reads_at_once:
                with suppress(BlockingIOError):
                    begun += self._socket.recv(READ)
                request = head_in(begun, desk.config.limits)
            if request is None:
                with trio.fail_after(desk.config.limits.handshake_timeout):
                    request = await self._wait_for_head(end, begun)
            own = None if request is None else desk.site.answer(request, self.address)
        except BadRequest as error:
            await self._refuse(end, error)
            return
        except trio.TooSlowError:
            slow = BadRequest(408, "request took too long", "handshake_timeout")
            await self._refuse(end, slow)
            return
        if own is not None:
            await self._say(end, own)
        else:
            await self._place(end, request, bytes(begun))

    # -- reading --------------------------------------------------------------------------------

    @property
    def _reads_at_once(self) -> bool:
        """Whether what comes first is a request that may be read."""
        return self._certificate is None and self._listener.proxy_protocol != "required"

    async def _wait_for_head(self, end: End, begun: bytearray) -> Request | None:
        """Read until the head is whole; there is none of a client whose TLS passes through."""
        if self._listener.proxy_protocol == "required":
            if self.address not in self._desk.proxies:
                raise EOFError("a PROXY header from somebody who is not trusted")
            self.address = await read_proxy_header(self._socket, begun) or self.address
        if self._certificate is not None and end is self._socket:
            return None
        return await read_head(end, begun, self._desk.config.limits)

    # -- placing --------------------------------------------------------------------------------

    async def _place(self, end: End, request: Request | None, begun: bytes) -> None:
        desk = self._desk
        address = self.address
        if request is not None:
            values = request.header_values("x-forwarded-for")
            address = client_address(address, values, desk.proxies)
        began = desk.clock()
        claim = desk.affinity.claim(
            request, address, began, is_secure=self._certificate is not None
        )
        carried: list[_Carried] = []

        async def attempt(route: Route) -> str:
            if route.control:
                return await self._hand_over(end, route, begun, claim.headers, carried)
            return await self._connect(end, route, request, begun, claim.headers, carried)

        try:
            await desk.turnstile.enter(is_returning=claim.is_returning)
            try:
                placement = await desk.placing.place(desk.placing.hashed(claim.key), attempt)
            finally:
                desk.turnstile.leave()
        except QueueFull:
            desk.metrics.refused.add("busy")
            await self._say(end, self._unavailable("too many clients wait for a node"))
            return
        if placement is None:
            desk.metrics.refused.add("no_node")
            await self._say(end, self._unavailable("no node takes clients now"))
            return
        desk.metrics.placing_seconds.observe(desk.clock() - began)
        desk.metrics.placed.add("relay" if carried else "handover")
        if carried:
            self._is_relayed = True
            desk.arriving -= 1
            try:
                await send_all(end, carried[0].answer)
                await desk.relay.carry(end, carried[0].far)
            finally:
                carried[0].far.close()
                placement.ended()

    async def _hand_over(
        self, end: End, route: Route, begun: bytes, headers: tuple[tuple[str, str], ...],
        carried: list[_Carried],
    ) -> str:
        """Hand the socket itself over, or behind our TLS the other end of a new pair."""
        desk = self._desk
        link = desk.links.get(route.control)
        if link is None:
            return "no link"
        timeout = desk.config.gateway.handover_timeout
        if end is self._socket:
            return await link.hand_over(
                end, timeout=timeout, address=self.address, begun=begun, headers=headers,
                tls=self._certificate is not None,
            )
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                reason = await link.hand_over(
                    theirs, timeout=timeout, address=self.address, is_secure=True,
                    begun=begun, headers=headers,
                )
        except BaseException:
            ours.close()
            raise
        if reason:
            ours.close()
            return reason
        ours.setblocking(False)
        carried.append(_Carried(ours))
        return ""

    async def _connect(
        self, end: End, route: Route, request: Request | None, begun: bytes,
        headers: tuple[tuple[str, str], ...], carried: list[_Carried],
    ) -> str:
        """Connect to a node elsewhere, and say there what the client said."""
        desk, section = self._desk, self._desk.config.gateway
        host, _, port = route.address.rpartition(":")
        far = None
        answer = bytearray()
        try:
            with trio.fail_after(section.connect_timeout):
                stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
                far = socket.socket(fileno=stream.socket.detach())
                if request is not None:
                    begun = forwarded(
                        begun, self.address, is_secure=end is not self._socket,
                        is_trusted=self.address in desk.proxies,
                    )
                await send_all(far, begun)
                if request is not None and request.is_upgrade:
                    while b"\r\n" not in answer:
                        await receive_into(answer, far)
                    if b" 503 " in answer[: answer.index(b"\r\n")]:
                        raise EOFError("answered 503")
        except (OSError, EOFError, trio.TooSlowError) as error:
            if far is not None:
                far.close()
            return "too slow" if isinstance(error, trio.TooSlowError) else "unreachable"
        except BaseException:
            if far is not None:
                far.close()
            raise
        carried.append(_Carried(far, with_headers(bytes(answer), headers)))
        return ""

    # -- refusing -------------------------------------------------------------------------------

    def _unavailable(self, why: str) -> bytes:
        after = ceil(self._desk.config.gateway.retry_after)
        headers = (("Content-Type", "application/json"), ("Retry-After", str(after)))
        return response(503, headers, error_body(503, why), keep_alive=False)

    async def _refuse(self, end: End, refusal: BadRequest) -> None:
        self._desk.metrics.refused.add(refusal.limit or "malformed")
        limits = self._desk.config.limits
        message = explained(refusal.reason, refusal.limit, refusal.field, limits)
        headers = (("Content-Type", "application/json"), *refusal.headers)
        body = error_body(refusal.status, message)
        await self._say(end, response(refusal.status, headers, body, keep_alive=False))

    async def _say(self, end: End, answer: bytes) -> None:
        """Send the last thing this client gets, and give it a moment to read it."""
        with trio.move_on_after(FAREWELL), suppress(OSError, EOFError):
            await send_all(end, answer)
            end.shutdown(socket.SHUT_WR)
            # What it still sends must be read, or closing would take the answer from it.
            rest = bytearray()
            while len(rest) < READ:
                await receive_into(rest, end)
