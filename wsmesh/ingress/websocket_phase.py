"""The WebSocket phase of a connection: frames in, the session's commands out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

import structlog

from wsmesh.app import DisconnectContext
from wsmesh.errors import (
    Disconnect,
    HookFailure,
    ProtocolViolation,
    ReplyError,
    StoreUnavailable,
)
from wsmesh.ingress.connection import Connection
from wsmesh.ingress.doorway import Doorway
from wsmesh.ingress.phase import Job
from wsmesh.protocol import codes
from wsmesh.security.rate import Rate, gcra
from wsmesh.session.session import Session
from wsmesh.session.subscription import Subscription
from wsmesh.session.tenure import Tenure, Tenures
from wsmesh.wire.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameParser,
    close_frame,
    frame,
)

log = structlog.get_logger("wsmesh.connection")

RATE_DEBT = 10.0
"""Seconds a client may be paused for its rates; beyond that it is disconnected."""

CHARGED = 4096
"""Bytes that are charged against the byte rate together, so that a small message costs only an
addition; small against any burst that holds a message."""


class Receive(Protocol):
    """What a text message is for."""

    def __call__(self, session: Session, payload: bytes) -> None:
        """Execute it.

        :raises Disconnect: it is not of the protocol.
        """


class Rates:
    """Limits that all WebSocket connections of a node share."""

    __slots__ = ("control", "message")

    def __init__(self, message: Rate, control: Rate) -> None:
        self.message = message
        self.control = control


class WebSocketPhase:
    """One WebSocket connection.

    :param now: seconds, monotonic.
    """

    __slots__ = (
        "_allowances", "_byte_rate", "_byte_tat", "_connection", "_control_tat", "_doorway",
        "_incomplete", "_message_tat", "_now", "_parser", "_rates", "_receive", "_session",
        "_uncharged",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, doorway: Doorway, parser: FrameParser, session: Session,
        receive: Receive, rates: Rates, now: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._doorway = doorway
        self._parser = parser
        self._session = session
        self._receive = receive
        self._rates = rates
        self._allowances = session.services.allowances
        self._now = now
        self._message_tat = 0.0
        self._control_tat = 0.0
        self._byte_rate = doorway.byte_rate
        self._byte_tat = 0.0
        self._uncharged = 0
        self._incomplete = False

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket."""
        session = self._session
        messages = 0
        for kind, payload in self._parser.feed(data):
            if kind == TEXT:
                if not session.is_over:
                    messages += 1
                    self._receive(session, payload)
            elif kind == PING:
                self._count_control()
                if not session.is_over:
                    self._connection.send(frame(PONG, payload))
            elif kind == PONG:
                self._count_control()
            elif kind == CLOSE:
                self._closed_by_peer(*payload)
                return
            elif kind == BINARY and not session.is_over:
                raise codes.INAPPROPRIATE_PROTOCOL
        if messages:
            self._doorway.metrics.messages_in += messages
            self._pace(messages)
        self._uncharged = uncharged = self._uncharged + len(data)
        if uncharged > CHARGED:
            self._pace_bytes(uncharged)
        if self._parser.is_incomplete is not self._incomplete:
            self._incomplete = not self._incomplete
            limit = self._doorway.limits.incomplete_age if self._incomplete else 0
            self._connection.alarm(limit, self._took_too_long)

    def _pace(self, messages: int) -> None:
        """Count messages of one read; a client ahead of its rate is not read for as long."""
        rate = self._rates.message
        now = self._doorway.fanout.turn_began
        tat = self._message_tat
        self._message_tat = tat = (tat if tat > now else now) + rate.interval * messages
        wait = tat - now - rate.tolerance
        if wait > 0:
            self._slow_down(wait, "message_rate")
        if self._allowances.is_limited and self._session.user:
            wait = self._allowances.spend(self._session.user, messages)
            if wait > 0:
                self._slow_down(wait, "user_message_rate")

    def _pace_bytes(self, size: int) -> None:
        """Count bytes, those of unfinished messages and of frames' heads too."""
        self._uncharged = 0
        rate = self._byte_rate
        if rate is None:
            return
        now = self._doorway.fanout.turn_began
        self._byte_tat = tat = max(self._byte_tat, now) + rate.interval * size
        wait = tat - now - rate.tolerance
        if wait > 0:
            self._slow_down(wait, "byte_rate")

    def _slow_down(self, wait: float, limit: str) -> None:
        self._doorway.metrics.limit_hit(limit)
        if wait > RATE_DEBT:
            raise codes.TOO_MANY_REQUESTS
        self._connection.pause(wait)

    def _count_control(self) -> None:
        rate = self._rates.control
        tat = gcra(self._control_tat, self._now(), rate.interval, rate.tolerance)
        if tat < 0:
            raise ProtocolViolation(1008, "too many control frames", limit="control_rate")
        self._control_tat = tat

    def _took_too_long(self) -> None:
        self._connection.on_fault(
            ProtocolViolation(1008, "message took too long", limit="incomplete_age")
        )

    def _closed_by_peer(self, code: int, reason: str) -> None:
        answer = close_frame(code, "") if code != 1005 else frame(CLOSE, b"")
        ended = codes.CONNECTION_CLOSED
        self._connection.answer_close(ended.code, ended.reason, answer)

    def shut_down(self) -> None:
        """The node stops: tell the client to come back."""
        self._session.end(codes.SHUTDOWN)

    def lost(self, code: int, reason: str) -> list[Job]:
        """End the session; return what has to be told to the store and the application."""
        session = self._session
        was_connected = session.is_connected
        tenure = session.tenure
        left = session.close()
        self._doorway.admission.closed(self._connection.address, was_connected)
        self._doorway.metrics.connection_closed(code)
        log.info(
            "connection.closed", client=session.client, user=session.user, code=code,
            reason=reason, address=self._connection.address, connected=was_connected,
        )
        jobs: list[Job] = [
            partial(_bid_farewell, session, channel, subscription)
            for channel, subscription in left
            if subscription.has_presence or subscription.has_joined
        ]
        if tenure is not None and not codes.continues(code):
            jobs.append(partial(_close_session, session.services.tenures, tenure))
        hook = session.services.hooks.app.disconnect
        if hook is not None and was_connected:
            context = DisconnectContext(client=session.described(), code=code, reason=reason)
            jobs.append(partial(_say_goodbye, session, context))
        return jobs


async def _close_session(tenures: Tenures, tenure: Tenure) -> None:
    try:
        await tenures.close(tenure)
    except StoreUnavailable as error:
        log.warning("session.not_closed", error=str(error))


async def _bid_farewell(session: Session, channel: str, subscription: Subscription) -> None:
    try:
        await session.farewell(channel, subscription)
    except StoreUnavailable as error:
        log.warning("farewell.failed", client=session.client, error=str(error))


async def _say_goodbye(session: Session, context: DisconnectContext) -> None:
    hooks = session.services.hooks
    assert hooks.app.disconnect is not None
    # What it decides or how it fails (which is logged) concerns a client that is gone.
    with suppress(ReplyError, Disconnect, HookFailure):
        await hooks.call("disconnect", hooks.app.disconnect, context)


