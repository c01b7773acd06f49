"""The HTTP phase of a connection: the request head, then a WebSocket or an HTTP answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import ceil
from urllib.parse import parse_qs

import structlog

from wsmesh.ingress.connection import Connection
from wsmesh.ingress.phase import Job
from wsmesh.ingress.reception import Reception
from wsmesh.ingress.websocket_phase import WebSocketPhase
from wsmesh.protocol.codec import Form
from wsmesh.protocol.resume import RESUMING, RETRY_AFTER_MS
from wsmesh.security.addresses import client_address
from wsmesh.security.admission import Refusal
from wsmesh.session.bare import join_bare, publish_bare
from wsmesh.session.commands import receive, receive_connect
from wsmesh.session.session import Session
from wsmesh.wire.deflate import Inflater
from wsmesh.wire.frames import FrameParser
from wsmesh.wire.handshake import accept
from wsmesh.wire.http import CONTINUE, BadRequest, Request, RequestParser, response
from wsmesh.wire.refusal import error_body, explained

log = structlog.get_logger("wsmesh.http")

KEEP_ALIVE = 60.0
"""Seconds an idle HTTP connection is kept."""


class HTTPPhase:
    """One connection before (or without) its upgrade."""

    __slots__ = ("_closes", "_connection", "_headers", "_is_idle", "_parser", "_reception")

    def __init__(
        self, connection: Connection, reception: Reception,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._connection = connection
        self._headers = headers
        """Further fields for the answer to an upgrade."""
        self._reception = reception
        self._closes = False
        self._is_idle = False
        """Between two requests of a kept connection."""
        self._parser = RequestParser(reception.config.limits)
        connection.alarm(reception.config.limits.handshake_timeout, self._took_too_long)

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket."""
        request = None
        try:
            request = self._parser.feed(data)
            if request is not None:
                self._meet(request)
            else:
                self._wait()
        except BadRequest as error:
            is_head = self._parser.is_head if request is None else request.method == "HEAD"
            self._refuse(error, is_head=is_head)

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
        form = self._form(request.path)
        if form is not None:
            self._upgrade(request, form)
        else:
            self._is_idle = False
            self._connection.hold()
            self._connection.alarm(0, self._took_too_long)
            self._connection.enqueue(partial(self._answer, request))

    def _form(self, path: str) -> Form | None:
        """Return what is spoken after an upgrade of `path`; None: it is an ordinary one."""
        endpoints = self._reception.config.endpoints
        match path:
            case "/connection/websocket":
                return Form.BIDIRECTIONAL
            case "/connection/uni_websocket" if endpoints.uni_websocket:
                return Form.UNIDIRECTIONAL
            case "/connection/raw" if endpoints.raw_websocket:
                return Form.BARE
        return None

    # -- HTTP -----------------------------------------------------------------------------------

    def _wait(self) -> None:
        """A request is incomplete, or none has begun."""
        if self._is_idle and self._parser.has_begun:
            self._is_idle = False
            limits = self._reception.config.limits
            self._connection.alarm(limits.handshake_timeout, self._took_too_long)
        head = self._parser.take_awaited()
        if head is None:
            return
        form = self._form(head.path)
        if form is not None:
            self._upgrade(head, form)  # refused: an upgrade has no body
            return
        answer = self._reception.site.screen(head)
        if answer is None:
            self._connection.send(CONTINUE)
        else:
            self._send(answer.status, answer.headers, answer.body, is_head=head.method == "HEAD")

    async def _answer(self, request: Request) -> None:
        answer = await self._reception.site.respond(request, self._connection.address)
        keep_alive = request.keep_alive and not self._closes
        self._send(
            answer.status, answer.headers, answer.body, is_head=request.method == "HEAD",
            keep_alive=keep_alive,
        )
        if keep_alive:
            self._is_idle = True
            self._connection.resume()
            self._connection.alarm(KEEP_ALIVE, self._expire)
            self.receive(b"")

    def _send(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, is_head: bool,
        keep_alive: bool = False,
    ) -> None:
        data = response(status, headers, body, keep_alive=keep_alive, is_head=is_head)
        if keep_alive:
            self._connection.send(data)
        else:
            self._connection.finish(data)

    def _refuse(self, refusal: BadRequest, *, is_head: bool) -> None:
        status, reason, limit = refusal.status, refusal.reason, refusal.limit
        metrics = self._reception.doorway.metrics
        metrics.handshake_rejected(status, limit or "malformed")
        log.warning(
            "handshake.refused", status=status, reason=reason, address=self._connection.address
        )
        if limit:
            metrics.limit_hit(limit)
        message = explained(reason, limit, refusal.field, self._reception.config.limits)
        headers = (("Content-Type", "application/json"), *refusal.headers)
        self._send(status, headers, error_body(status, message), is_head=is_head)

    def _took_too_long(self) -> None:
        slow = BadRequest(408, "request took too long", "handshake_timeout")
        self._refuse(slow, is_head=self._parser.is_head)

    def _expire(self) -> None:
        self._connection.finish(b"")

    # -- WebSocket ------------------------------------------------------------------------------

    def _refusal(self, request: Request) -> Refusal | None:
        """Cheap checks first: node, address, then origin."""
        reception = self._reception
        admission, now = reception.doorway.admission, reception.services.now()
        if not reception.is_open:
            return admission.turned_away(now, "node is shutting down", "", 0.0)
        refusal = admission.admit(
            self._connection.address, now, is_returning=request.header(RESUMING) is not None
        )
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
            return Refusal(403, "Origin is not allowed", "origin", 0.0)
        return None

    def _upgrade(self, request: Request, form: Form) -> None:
        reception, connection = self._reception, self._connection
        doorway = reception.doorway
        handshake = accept(
            request, compression=doorway.compression, subprotocols=(), headers=self._headers
        )
        refusal = self._refusal(request)
        if refusal is not None:
            headers = []
            if refusal.retry_after:
                headers.append(("Retry-After", str(max(1, ceil(refusal.retry_after)))))
            if refusal.is_turn:
                headers.append((RETRY_AFTER_MS, str(ceil(1000 * refusal.retry_after))))
            raise BadRequest(refusal.status, refusal.reason, refusal.limit, headers)
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
