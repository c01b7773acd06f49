"""One client at the gateway: its request head is read, it is placed, and its socket handed over.

Garbage, heads that are too large and clients that are too slow end here: nodes never see them.
"""

from __future__ import annotations

import socket
from contextlib import suppress

import structlog
import trio
from attrs import define

from wsmesh.gateway.affinity import Claim
from wsmesh.gateway.desk import Arriving, Desk
from wsmesh.gateway.placing import Attempt
from wsmesh.gateway.reading import (
    READ,
    End,
    read_head,
    read_proxy_header,
    receive_into,
    send_all,
)
from wsmesh.gateway.turnstile import QueueFull
from wsmesh.gateway.ways import Carried, Refused, connect, hand_over
from wsmesh.ingress.tls import TLSSocket
from wsmesh.wire.http import BadRequest, response
from wsmesh.wire.proxy_protocol import ProxyHeaderError
from wsmesh.wire.refusal import error_body, explained

FAREWELL = 1.0
"""Seconds a refused client has to read why."""

log = structlog.get_logger("wsmesh.gateway")


@define(eq=False)
class Arrival:
    """The task of a client that is still the gateway's."""

    _desk: Desk
    _client: Arriving
    _is_relayed: bool = False

    async def serve(self) -> None:
        """Live until the client is somebody else's, or gone. One client's fault ends here."""
        desk, client = self._desk, self._client
        desk.arriving += 1
        try:
            end: End = client.sock
            if desk.arriving > desk.config.gateway.max_waiting:
                await self._turn_away(end, "busy", "too many clients at once")
                return
            if client.certificate is not None and desk.config.gateway.tls == "terminate":
                end = TLSSocket(client.sock, client.certificate.context)
            if client.request is not None or await self._meet(end):
                await self._place(end)
        except (OSError, ProxyHeaderError, EOFError) as error:
            # The client went away, or never was one.
            log.debug("gateway.client_lost", address=client.address, error=str(error))
        except Exception:  # the barrier around each client, as around each connection of a node
            desk.metrics.refused.add("fault")
            log.exception("gateway.client_failed", address=client.address)
        finally:
            if not self._is_relayed:
                desk.arriving -= 1
            client.sock.close()

    async def _meet(self, end: End) -> bool:
        """Read the request; return whether it is for a node."""
        desk, client = self._desk, self._client
        timeout = desk.config.limits.handshake_timeout
        try:
            with trio.move_on_after(timeout) as patience:
                await self._read(end)
            if patience.cancelled_caught:
                raise BadRequest(408, "request took too long", "handshake_timeout")
            request = client.request
            client.read_at = desk.clock()
            own = None if request is None else desk.site.answer(request, client.address)
        except BadRequest as error:
            await self._refuse(end, error)
            return False
        if own is not None:
            await self._say(end, own)
        return own is None

    async def _read(self, end: End) -> None:
        desk, client = self._desk, self._client
        if client.listener.proxy_protocol == "required":
            if client.address not in desk.proxies:
                raise EOFError("a PROXY header from somebody who is not trusted")
            found = await read_proxy_header(client.sock, client.begun)
            client.address = found or client.address
        # Of a client whose TLS passes through, nothing can be read.
        if client.certificate is None or end is not client.sock:
            client.request = await read_head(end, client.begun, desk.config.limits)

    async def _place(self, end: End) -> None:
        desk, client = self._desk, self._client
        claim = client.claim or desk.claim(client)
        try:
            await desk.turnstile.enter(is_returning=claim.is_returning)
        except QueueFull:
            await self._turn_away(end, "busy", "too many clients wait for a node")
            return
        try:
            attempt, carried = await self._find(end, claim)
        finally:
            desk.turnstile.leave()
        if attempt is None:
            await self._turn_away(end, "no_node", "no node takes clients now")
        elif carried is not None:
            await self._carry(end, attempt, carried)

    async def _find(self, end: End, claim: Claim) -> tuple[Attempt | None, Carried | None]:
        """Try nodes in the order of preference until one takes the client."""
        desk, client = self._desk, self._client
        key = desk.placing.hashed(claim.key)
        while len(client.tried) < desk.config.gateway.attempts:
            attempt = desk.placing.attempt(key, client.tried, claim.target)
            if attempt is None:
                break
            way = hand_over if attempt.route.control else connect
            try:
                outcome = await way(desk, client, end, claim, attempt.route)
            except BaseException:
                attempt.ended()
                raise
            if not isinstance(outcome, Refused):
                desk.placed(client, attempt, "relay" if outcome else "handover")
                return attempt, outcome
            attempt.failed(outcome.reason)
            client.tried.add(attempt.member)
        return None, None

    async def _carry(self, end: End, attempt: Attempt, carried: Carried) -> None:
        self._is_relayed = True
        self._desk.arriving -= 1
        try:
            await send_all(end, carried.answer)
            await self._desk.relay.carry(end, carried.far)
        finally:
            carried.far.close()
            attempt.ended()

    # -- refusing -------------------------------------------------------------------------------

    async def _turn_away(self, end: End, reason: str, why: str) -> None:
        self._desk.metrics.refused.add(reason)
        await self._say(end, self._desk.unavailable(why))

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
