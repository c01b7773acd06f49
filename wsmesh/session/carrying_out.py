"""Carrying out orders about the clients of this node, whoever gave them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import assert_never

import msgspec
from msgspec import UNSET

from wsmesh.channels.patterns import matcher
from wsmesh.errors import Disconnect, ReplyError
from wsmesh.protocol import codes
from wsmesh.protocol.messages import Push, RefreshPush, SubscribePush, SubscribeRequest
from wsmesh.security.claims import SubscribeOptions
from wsmesh.session.orders import (
    AnyOrder,
    ConnectionInfo,
    CountChannels,
    DescribeNode,
    DisconnectClients,
    Drain,
    FenceSession,
    ListConnections,
    MoveClients,
    NodeInfo,
    RefreshClients,
    RevokeToken,
    RevokeUser,
    SubscribeClients,
    UnsubscribeClients,
    decode_order,
)
from wsmesh.session.registry import Registry
from wsmesh.session.renewal import seconds_left
from wsmesh.session.services import Services
from wsmesh.session.session import Session
from wsmesh.session.subscribing import open_by_server
from wsmesh.store.interface import Position


class LocalClients:
    """The clients of this node, as orders see them.

    :param describe: tells what this node is now.
    :param begin_drain: has this node stop, as SIGTERM does.
    :param begin_move: has it send its clients elsewhere within so many seconds, and go on.
    """

    def __init__(
        self, services: Services, registry: Registry[Session], describe: Callable[[], NodeInfo],
        begin_drain: Callable[[], None], begin_move: Callable[[float], None],
    ) -> None:
        self._services = services
        self._registry = registry
        self.describe = describe
        self._begin_drain = begin_drain
        self._begin_move = begin_move

    async def answer(self, text: bytes) -> bytes:
        """Carry out a peer's order; JSON in, JSON out.

        :raises UnknownOrder: it is of another release.
        :raises ReplyError: it is refused.
        """
        return msgspec.json.encode(self.carry_out(decode_order(text)))

    def carry_out(self, order: AnyOrder) -> object:
        """Do at once what the order says; return what it asks for, else None."""
        match order:
            case SubscribeClients():
                self._subscribe(order)
            case UnsubscribeClients(user, channel, client, session):
                for found in self._registry.of_user(user, client, session):
                    found.unsubscribe(channel, *codes.UNSUBSCRIBED_BY_SERVER)
            case DisconnectClients():
                self._disconnect(order)
            case RefreshClients():
                self._refresh(order)
            case RevokeUser():
                self._revoke_user(order)
            case RevokeToken():
                self._revoke_token(order)
            case FenceSession(name, epoch):
                self._services.tenures.fence(name, epoch)
            case CountChannels(pattern):
                matches = matcher(pattern) if pattern else None
                counts = self._services.hub.counts()
                return {name: n for name, n in counts if matches is None or matches(name)}
            case Drain():
                self._begin_drain()
            case MoveClients(within):
                self._begin_move(within)
            case DescribeNode():
                return self.describe()
            case ListConnections(user):
                return [self._connection(found) for found in self._registry.of_user(user)]
            case _:
                assert_never(order)
        return None

    def _subscribe(self, order: SubscribeClients) -> None:
        options = SubscribeOptions(
            info=None if order.info is UNSET else bytes(order.info),
            data=None if order.data is UNSET else bytes(order.data),
            override=order.override,
        )
        since = order.recover_since or Position()
        request = SubscribeRequest(
            channel=order.channel, recover=order.recover_since is not None, epoch=since.epoch,
            offset=since.offset,
        )
        for found in self._registry.of_user(order.user, order.client, order.session):
            if order.channel not in found.subscriptions:
                found.run(0, partial(_subscribe, found, request, options, order.expire_at))

    def _disconnect(self, order: DisconnectClients) -> None:
        why = Disconnect(order.code, order.reason) if order.code else codes.FORCE_DISCONNECT
        for found in self._registry.of_user(order.user, order.client, order.session):
            if found.client not in order.whitelist:
                found.end(why)

    def _refresh(self, order: RefreshClients) -> None:
        for found in self._registry.of_user(order.user, order.client, order.session):
            if order.expired:
                found.end(codes.EXPIRED)
                continue
            found.expire_at = order.expire_at
            if order.info is not UNSET:
                found.introduce(found.user, bytes(order.info))
            found.watch_expiry()
            ttl = seconds_left(found, order.expire_at)
            found.push(Push(refresh=RefreshPush(expires=bool(order.expire_at), ttl=ttl)))

    def _revoke_user(self, order: RevokeUser) -> None:
        self._services.revocations.revoke_user(
            order.user, order.issued_before, order.until, now=self._services.wall()
        )
        for found in self._registry.of_user(order.user):
            if found.issued_at is None or found.issued_at < order.issued_before:
                found.end(codes.INVALID_TOKEN)

    def _revoke_token(self, order: RevokeToken) -> None:
        self._services.revocations.revoke_token(
            order.jti, order.until, now=self._services.wall(), iss=order.iss
        )
        for found in self._registry:
            if found.token_id[1] == order.jti and (not order.iss or found.token_id[0] == order.iss):
                found.end(codes.INVALID_TOKEN)

    def _connection(self, session: Session) -> ConnectionInfo:
        return ConnectionInfo(
            client=session.client, session=session.session_id, node=self.describe().name,
            address=session.link.address, name=session.name, version=session.version,
            channels=tuple(sorted(session.subscriptions)),
        )


async def _subscribe(
    session: Session, request: SubscribeRequest, options: SubscribeOptions, expire_at: float
) -> None:
    try:
        opening = await open_by_server(session, request.channel, request, options, expire_at)
    except ReplyError as error:
        if error.code == codes.already_subscribed().code:
            return
        raise
    try:
        result = opening.complete()
        push = SubscribePush(
            recoverable=result.recoverable, epoch=result.epoch, offset=result.offset,
            positioned=result.positioned, data=result.data,
        )
        session.push(Push(channel=request.channel, subscribe=push))
        for publication in result.publications or ():
            session.push(Push(channel=request.channel, pub=publication))
    finally:
        opening.abandon()
    await opening.announce()
