"""The HTTP phase of a connection: the request head, then a WebSocket or an HTTP answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil
from urllib.parse import parse_qs

import structlog

from wsmesh.ingress.connection import Connection, Job
from wsmesh.ingress.reception import Reception
from wsmesh.ingress.websocket_phase import WebSocketPhase
from wsmesh.protocol.codec import Form
from wsmesh.security.addresses import client_address
from wsmesh.security.admission import Refusal
from wsmesh.session.bare import join_bare, publish_bare
from wsmesh.session.commands import receive, receive_connect
from wsmesh.session.session import Session
from wsmesh.wire.deflate import Inflater
from wsmesh.wire.frames import FrameParser
from wsmesh.wire.handshake import accept
from wsmesh.wire.http import BadRequest, Request, RequestParser, response

log = structlog.get_logger("wsmesh.http")

KEEP_ALIVE = 60.0
"""Seconds an idle HTTP connection is kept."""


class HTTPPhase:
    """One connection before (or without) its upgrade."""

    __slots__ = ("_closes", "_connection", "_parser", "_reception")

    def __init__(self, connection: Connection, reception: Reception) -> None:
        self._connection = connection
        self._reception = reception
        self._closes = False
        self._parser = RequestParser(reception.config.limits)
        connection.alarm(reception.config.limits.handshake_timeout, self._took_too_long)

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket."""
        try:
            request = self._parser.feed(data)
            if request is not None:
                self._meet(request)
        except BadRequest as error:
            self._refuse(error.status, error.reason, error.limit, error.headers)

    def lost(self, code: int, reason: str) -> list[Job]:
        """Nothing has to be told to anybody."""
        return []

    def shut_down(self) -> None:
        """The node stops: a request that is being answered is still answered."""
        self._closes = True
        if not self._connection.waiting:
            self._connection.finish(b"")

    def _meet(self, request: Request) -> None:
        reception = self._reception
        forwarded = request.header_values("x-forwarded-for")
        if forwarded:
            connection = self._connection
            connection.address = client_address(connection.peer, forwarded, reception.proxies)
        endpoints = reception.config.endpoints
        if request.path == "/connection/websocket":
            self._upgrade(request, Form.BIDIRECTIONAL)
        elif request.path == "/connection/uni_websocket" and endpoints.uni_websocket:
            self._upgrade(request, Form.UNIDIRECTIONAL)
        elif request.path == "/connection/raw" and endpoints.raw_websocket:
            self._upgrade(request, Form.BARE)
        else:
            self._connection.hold()
            self._connection.alarm(0, self._took_too_long)
            self._connection.enqueue(partial(self._answer, request))

    # -- HTTP -----------------------------------------------------------------------------------

    async def _answer(self, request: Request) -> None:
        answer = await self._reception.respond(request, self._connection.address)
        keep_alive = request.keep_alive and not self._closes
        self._send(answer.status, answer.headers, answer.body, keep_alive=keep_alive)
        if keep_alive:
            self._connection.resume()
            self._connection.alarm(KEEP_ALIVE, self._expire)
            self.receive(b"")

    def _send(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, keep_alive: bool
    ) -> None:
        data = response(status, headers, body, keep_alive=keep_alive)
        if keep_alive:
            self._connection.send(data)
        else:
            self._connection.finish(data)

    def _refuse(
        self, status: int, reason: str, limit: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        metrics = self._reception.doorway.metrics
        metrics.handshake_rejected(status, limit or "malformed")
        log.warning(
            "handshake.refused", status=status, reason=reason, address=self._connection.address
        )
        if limit:
            metrics.limit_hit(limit)
        plain = ("Content-Type", "text/plain; charset=utf-8")
        self._send(status, (plain, *headers), f"{reason}\n".encode(), keep_alive=False)

    def _took_too_long(self) -> None:
        self._refuse(408, "request took too long", "handshake_timeout")

    def _expire(self) -> None:
        self._connection.finish(b"")

    # -- WebSocket ------------------------------------------------------------------------------

    def _refusal(self, request: Request) -> Refusal | None:
        """Cheap checks first: node, address, then origin."""
        reception = self._reception
        if not reception.is_open:
            return Refusal(503, "node is shutting down", "", 1.0)
        now = reception.services.now()
        refusal = reception.doorway.admission.admit(self._connection.address, now)
        if refusal is not None:
            return refusal
        origins = request.header_values("origin")
        host = request.header("host")
        origin = origins[0] if origins else None
        secure = self._connection.is_secure or (
            self._connection.peer in reception.proxies
            and request.header("x-forwarded-proto") == "https"
        )
        if len(origins) > 1 or not reception.origins.allows(origin, host, secure):
            return Refusal(403, "origin is not allowed", "origin", 0.0)
        return None

    def _upgrade(self, request: Request, form: Form) -> None:
        reception, connection = self._reception, self._connection
        doorway = reception.doorway
        handshake = accept(request, compression=doorway.compression, subprotocols=())
        refusal = self._refusal(request)
        if refusal is not None:
            after = str(max(1, ceil(refusal.retry_after)))
            headers = (("Retry-After", after),) if refusal.retry_after else ()
            self._refuse(refusal.status, refusal.reason, refusal.limit, headers)
            return
        connection.alarm(0, self._took_too_long)
        reception.doorway.admission.opened(connection.address)
        doorway.metrics.handshakes += 1
        inflater = None if handshake.deflate is None else Inflater(handshake.deflate)
        connection.dialect = 2 * form + (handshake.deflate is not None)
        if reception.services.hooks.app.connect is not None:
            connection.headers = tuple(request.headers)
        session = Session(reception.services, reception.registry, connection, form)
        understand = {
            Form.BIDIRECTIONAL: receive,
            Form.UNIDIRECTIONAL: receive_connect,
            Form.BARE: publish_bare,
        }[form]
        phase = WebSocketPhase(
            connection, doorway, FrameParser(doorway.limits, inflater), session, understand,
            reception.rates, reception.services.now,
        )
        connection.phase = phase
        connection.send(handshake.response)
        if form is Form.BARE:
            token = (request.header("authorization") or "").removeprefix("Bearer ").strip()
            channels = parse_qs(request.query).get("channel", [])
            connection.enqueue(partial(join_bare, session, token, tuple(channels)))
        if request.rest:
            phase.receive(request.rest)
