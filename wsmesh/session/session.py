"""A client's session: its identity, its subscriptions, and the order of its commands.

A frame's commands are executed one after the other. A command that need not wait is executed at
once, in the turn that read it. One that must wait runs as a job in its connection's nursery, and
the client's later commands queue behind it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from typing import Protocol
from uuid import uuid4

import structlog
import trio
from msgspec import UNSET, Raw

from wsmesh.app import Client
from wsmesh.channels.channel import Sink
from wsmesh.errors import Disconnect, HookFailure, ReplyError, StoreUnavailable
from wsmesh.protocol import codes
from wsmesh.protocol.codec import PING, Form, encode_push, encode_reply
from wsmesh.protocol.messages import (
    ClientInfo,
    DisconnectPush,
    ErrorObject,
    Push,
    Reply,
    Unsubscribe,
)
from wsmesh.session.registry import Registry
from wsmesh.session.services import Services
from wsmesh.session.subscription import Subscription
from wsmesh.session.tenure import Tenure
from wsmesh.timers import Timer

log = structlog.get_logger("wsmesh.session")

Job = Callable[[], Awaitable[None]]
"""Work that may wait; runs in the connection's nursery, one job at a time, in order."""


class Link(Sink, Protocol):
    """What a session needs of its connection."""

    address: str
    headers: tuple[tuple[str, str], ...]
    waiting: int
    """Jobs that are running or queued."""

    def send_text(self, payload: bytes, *, secret: bool = False) -> None:
        """Send a text message; a secret one is never compressed (CRIME)."""

    def end(self, code: int, reason: str) -> None:
        """Close the connection with a code, after what was sent before."""

    def authenticated(self) -> None:
        """The client has connected: it no longer counts as unauthenticated."""

    def enqueue(self, job: Job) -> None:
        """Run `job` after those enqueued before."""


class Session:
    """One client.

    :ivar client: connection id, unique for ever.
    :ivar user: user id, empty for anonymous clients.
    :ivar is_connected: the connect command succeeded; `since` then, `active`: when a command came
        last, `moved`: when it was last sent away, all by the node's clock.
    :ivar unsettled: publications that the store has not answered yet; `settled` is set, when
        somebody put it there, as soon as there are none.
    """

    __slots__ = (
        "_appearance", "_expiry", "_heartbeat", "_leaving", "_pong_due", "active", "client",
        "expire_at", "form", "info", "is_connected", "is_over", "issued_at", "link", "meta",
        "moved", "name", "registry", "services", "session_id", "settled", "since", "subscriptions",
        "tenure", "token_id", "unsettled", "user", "version",
    )  # fmt: skip

    def __init__(
        self, services: Services, registry: Registry[Session], link: Link, form: Form
    ) -> None:
        self.services = services
        self.registry = registry
        self.link = link
        self.form = form
        self.client = str(uuid4())
        self.session_id = self.client
        self.user = self.name = self.version = ""
        self.info: bytes | None = None
        self._appearance: ClientInfo | None = None
        self.meta: bytes | None = None
        self.token_id = ("", "")
        self.issued_at: float | None = None
        self.expire_at = 0.0
        self.is_connected = False
        self.is_over = False
        self.since = self.active = services.now()
        self.moved = -inf
        self.subscriptions: dict[str, Subscription] = {}
        self.tenure: Tenure | None = None
        self.unsettled = 0
        self.settled: trio.Event | None = None
        self._leaving: list[tuple[str, Subscription]] | None = None
        self._expiry: Timer | None = None
        self._heartbeat: Timer | None = services.timers.after(
            services.client.stale_close_delay, self._went_stale
        )
        self._pong_due = False

    def __repr__(self) -> str:
        return f"<Session {self.client} user={self.user!r} subscriptions={len(self.subscriptions)}>"

    def reply(self, reply: Reply) -> None:
        """Answer a command; unidirectional clients get no replies."""
        if self.form is Form.BIDIRECTIONAL:
            self.link.send_text(encode_reply(reply), secret=reply.connect is not None)

    def push(self, push: Push) -> None:
        """Send this client a push."""
        payload = encode_push(push, self.form)
        if payload:
            self.link.send_text(payload)

    def refuse(self, command: int, error: ReplyError) -> None:
        """Answer a command with an error."""
        self.services.metrics.command_error(error.code)
        if command and self.form is Form.BIDIRECTIONAL:
            fault = ErrorObject(error.code, error.message, error.temporary)
            self.link.send_text(encode_reply(Reply(id=command, error=fault)))
        elif self.form is not Form.BIDIRECTIONAL:
            self.end(Disconnect(4000 + error.code if error.temporary else 4500, error.message))

    def end(self, why: Disconnect) -> None:
        """Disconnect the client."""
        if self.form is Form.UNIDIRECTIONAL:
            advice = DisconnectPush(why.code, why.reason, codes.may_return(why.code))
            self.push(Push(disconnect=advice))
        self.link.end(why.code, why.reason)

    def run(self, command: int, job: Job) -> None:
        """Execute a command that must wait, after the client's earlier ones."""
        if self.link.waiting >= self.services.client.command_queue_limit:
            self.services.metrics.limit_hit("command_queue")
            self.end(codes.TOO_MANY_REQUESTS)
            return
        self.link.enqueue(partial(self._carry_out, command, job))

    async def _carry_out(self, command: int, job: Job) -> None:
        if self.is_over:
            return
        try:
            await job()
        except ReplyError as error:
            self.refuse(command, error)
        except Disconnect as why:
            self.end(why)
        except (StoreUnavailable, HookFailure) as error:
            log.warning("command.failed", client=self.client, error=str(error))
            self.refuse(command, codes.internal())

    def described(self) -> Client:
        """Return what hooks are told about the client."""
        return Client(
            id=self.client, user=self.user, address=self.link.address, info=self.info,
            meta=self.meta,
        )

    def client_info(self) -> ClientInfo:
        """Return how the client appears to others; a shared value that nobody may change."""
        if self._appearance is None:
            info = UNSET if self.info is None else Raw(self.info)
            self._appearance = ClientInfo(self.user, self.client, info)
        return self._appearance

    def introduce(self, user: str, info: bytes | None) -> None:
        """Set who the client is and what others see of it."""
        self.user = user
        self.info = info
        self._appearance = None

    def welcome(self) -> None:
        """Begin the connected life: heartbeat, expiry, being found by user."""
        services = self.services
        self.is_connected = True
        self.since = services.now()
        self.registry.add(self)
        self._set_heartbeat(services.rng.uniform(0.5, 1.0) * services.client.ping_interval)
        self.watch_expiry()

    def _set_heartbeat(self, delay: float) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._heartbeat = self.services.timers.after(delay, self._ping) if delay > 0 else None

    def _ping(self) -> None:
        if self.form is Form.BARE:
            return
        timeout = self.services.client.pong_timeout
        self.link.send_text(PING)
        if self.form is Form.BIDIRECTIONAL and timeout > 0:
            self._pong_due = True
            self._heartbeat = self.services.timers.after(timeout, self._check_pong)
        else:
            self._set_heartbeat(self.services.client.ping_interval)

    def _check_pong(self) -> None:
        if self._pong_due:
            self.end(codes.NO_PONG)
        else:
            client = self.services.client
            self._set_heartbeat(client.ping_interval - client.pong_timeout)

    def pong(self) -> None:
        """The client is alive."""
        self._pong_due = False

    def _went_stale(self) -> None:
        self.services.metrics.limit_hit("hello_timeout")
        self.link.end(codes.STALE.code, codes.STALE.reason)

    def watch_expiry(self) -> None:
        """Watch `expire_at`; after it and a grace the connection ends."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if self.expire_at:
            services = self.services
            left = self.expire_at - services.wall() + services.client.expired_close_delay
            self._expiry = services.timers.after(max(0.0, left), self._expired)

    def _expired(self) -> None:
        self.end(codes.EXPIRED)

    def changed(self) -> None:
        """The subscriptions are others now."""
        if self.tenure is not None and not self.is_over:
            self.services.tenures.changed(self.tenure)

    def drop(self, channel: str) -> Subscription | None:
        """Stop receiving a channel; presence and leave events are for `farewell` to settle."""
        subscription = self.subscriptions.pop(channel, None)
        if subscription is not None and subscription.is_live:
            subscription.is_live = False
            self.services.hub.leave(channel, self.link)
            if subscription.expiry is not None:
                subscription.expiry.cancel()
            self.changed()
        return subscription

    def leave(self, channel: str) -> bool:
        """End a subscription; whether there was one. The store is told when there is time."""
        subscription = self.drop(channel)
        if subscription is None:
            return False
        if subscription.has_presence or subscription.has_joined:
            self._leaving = [*(self._leaving or ()), (channel, subscription)]
            self.run(0, self._tell_store)
        return True

    async def _tell_store(self) -> None:
        while self._leaving:
            await self.farewell(*self._leaving[0])
            self._leaving = self._leaving[1:]

    async def farewell(self, channel: str, subscription: Subscription) -> None:
        """Tell the store that the client left a channel."""
        store = self.services.store
        if subscription.has_presence:
            await store.remove_presence(channel, self.client)
        if subscription.has_joined:
            await store.announce(channel, subscription.info, joined=False)

    def unsubscribe(self, channel: str, code: int, reason: str) -> None:
        """End a subscription from the server's side and tell the client."""
        if self.leave(channel):
            self.push(Push(channel=channel, unsubscribe=Unsubscribe(code, reason)))

    def close(self) -> list[tuple[str, Subscription]]:
        """End at once what needs no waiting; return the subscriptions to bid farewell to."""
        if self.is_over:
            return []
        self.is_over = True
        for timer in (self._heartbeat, self._expiry):
            if timer is not None:
                timer.cancel()
        if self.is_connected:
            self.registry.discard(self)
        self.services.headcount.leave(self.client)
        if self.tenure is not None:
            self.services.tenures.drop(self.tenure)
        left = [(name, each) for name, each in self.subscriptions.items() if each.is_live]
        for name, _ in left:
            self.drop(name)
        self.subscriptions.clear()
        return [*(self._leaving or ()), *left]
