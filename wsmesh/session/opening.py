"""A subscription on its way to being live: position, recovery, and the moment it goes live.

The order closes the race between reading the stream and hearing new publications: register with
the hub (which keeps what arrives), hear the channel, read the stream, and then, without waiting,
merge both, go live and answer.
"""

from __future__ import annotations

from functools import partial

from msgspec import UNSET, Raw

from wsmesh.channels.channel import Joining
from wsmesh.channels.namespaces import ChannelKind
from wsmesh.channels.permissions import Mode
from wsmesh.protocol import codes
from wsmesh.protocol.messages import (
    ClientInfo,
    Publication,
    SubscribeRequest,
    SubscribeResult,
)
from wsmesh.session.session import Session
from wsmesh.session.subscription import Grant, Subscription
from wsmesh.store.interface import Position


class Opening:
    """A subscription that is prepared but not live; `complete` or `abandon` it."""

    def __init__(
        self, session: Session, kind: ChannelKind, mode: Mode, grant: Grant, *, by_server: bool
    ) -> None:
        """Reserve the channel for this session.

        :raises ReplyError: 105, it has the channel already.
        """
        channel = kind.channel
        if channel in session.subscriptions:
            raise codes.already_subscribed()
        info = session.client_info()
        if grant.info is not None:
            info = ClientInfo(info.user, info.client, info.conn_info, Raw(grant.info))
        self.subscription = subscription = Subscription(kind, info, is_server_side=by_server)
        subscription.is_positioned = mode.positioned
        subscription.is_recoverable = mode.recoverable
        subscription.joins_and_leaves = mode.receives_join_leave
        subscription.expire_at = grant.expire_at
        if session.tenure is not None and grant.is_by_token:
            subscription.grant = grant
        session.subscriptions[channel] = subscription
        self._session = session
        self._kind = kind
        self._mode = mode
        self._grant = grant
        self._was_recovering = False
        self._recovered = False
        self._top = Position()
        self._publications: list[Publication] = []
        hub = session.services.hub
        self._joining: Joining | None = hub.join(channel, kind.options.slow_consumer)

    async def prepare(self, request: SubscribeRequest) -> None:
        """Hear the channel and read its stream."""
        services, kind, mode = self._session.services, self._kind, self._mode
        await services.interest.hold(kind.channel)
        if mode.positioned:
            since = Position(request.epoch, request.offset)
            if mode.recoverable and request.recover:
                self._was_recovering = True
                await (self._read_latest(since) if mode.cache else self._recover(since))
            else:
                self._top = await services.store.top(kind.channel, kind.retention)

    async def _recover(self, since: Position) -> None:
        services, kind = self._session.services, self._kind
        limit = services.client.recovery_max_publication_limit
        found = await services.store.recover(kind.channel, since, kind.retention, limit)
        self._recovered = found.recovered
        self._top = found.top
        self._publications = list(found.publications)

    async def _read_latest(self, since: Position) -> None:
        services, kind = self._session.services, self._kind
        stream = await services.store.history(
            kind.channel, kind.retention, limit=1, reverse=True
        )
        self._top = stream.top
        self._recovered = bool(stream.publications)
        if since != stream.top:
            self._publications = list(stream.publications)

    def complete(self) -> SubscribeResult:
        """Go live and return what the client is told; nothing may be awaited in between.

        :raises ReplyError: 100, more was published meanwhile than could be kept; temporary.
        """
        session, kind, subscription = self._session, self._kind, self.subscription
        joining = self._joining
        assert joining is not None
        if joining.is_overflown:
            raise codes.internal()
        self._joining = None
        session.services.hub.go_live(
            kind.channel, joining, session.link, owner=session,
            with_events=subscription.joins_and_leaves,
        )
        subscription.is_live = True
        session.changed()
        missed = [each for each in joining.publications if each.offset > self._top.offset]
        top = missed[-1].offset if missed else self._top.offset
        if self._recovered:
            self._publications.extend(missed)
            if self._mode.cache:
                self._publications = self._publications[-1:]
        ttl = watch_expiry(session, subscription)
        positioned = self._mode.positioned
        return SubscribeResult(
            expires=bool(subscription.expire_at),
            ttl=ttl,
            recoverable=self._mode.recoverable,
            positioned=positioned,
            epoch=self._top.epoch if positioned else "",
            offset=top if positioned else 0,
            publications=self._publications or None,
            recovered=self._recovered,
            was_recovering=self._was_recovering,
            data=UNSET if self._grant.data is None else Raw(self._grant.data),
        )

    def abandon(self) -> None:
        """Give the channel up, unless the subscription is live."""
        if self._joining is not None:
            self._session.services.hub.give_up(self._kind.channel, self._joining)
            self._joining = None
            self._session.subscriptions.pop(self._kind.channel, None)

    async def announce(self) -> None:
        """Tell the channel that the client is there; a closing session takes it back."""
        services, channel, subscription = (
            self._session.services, self._kind.channel, self.subscription
        )
        if self._mode.presence and subscription.is_live:
            subscription.has_presence = True
            await services.store.add_presence(
                channel, self._session.client, subscription.info, services.client.presence_ttl
            )
        if self._mode.emits_join_leave and subscription.is_live:
            subscription.has_joined = True
            await services.store.announce(channel, subscription.info, joined=True)


def watch_expiry(session: Session, subscription: Subscription) -> int:
    """Watch a subscription's lifetime; return its seconds left, 0 when it does not expire."""
    if subscription.expiry is not None:
        subscription.expiry.cancel()
        subscription.expiry = None
    if not subscription.expire_at:
        return 0
    services = session.services
    left = max(0.0, subscription.expire_at - services.wall())
    subscription.expiry = services.timers.after(
        left + services.client.expired_close_delay,
        partial(session.unsubscribe, subscription.kind.channel, *codes.UNSUBSCRIBED_EXPIRED),
    )
    return round(left)
