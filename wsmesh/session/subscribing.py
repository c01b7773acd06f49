"""Subscribing: who may, by which token or hook, and answering the commands."""

from __future__ import annotations

from functools import partial

from msgspec import UNSET

from wsmesh.app import SubscribeContext
from wsmesh.channels.namespaces import ChannelKind
from wsmesh.channels.permissions import (
    Mode,
    may_read_history,
    may_subscribe,
    may_watch,
    mode_of,
)
from wsmesh.errors import TokenError, TokenExpired
from wsmesh.protocol import codes
from wsmesh.protocol.messages import (
    Command,
    Empty,
    Reply,
    SubscribeRequest,
)
from wsmesh.security.claims import (
    SubscribeOptions,
    SubscriptionClaims,
)
from wsmesh.security.jwks import KeyNotHeld, KeysUnavailable
from wsmesh.session.opening import Opening
from wsmesh.session.publishing import checked_json
from wsmesh.session.session import Job, Session
from wsmesh.session.subscription import Grant
from wsmesh.store.sessions import HeldSubscription


def subscribe(session: Session, number: int, command: Command) -> Job:
    """Execute a subscribe command."""
    request = command.subscribe
    assert request is not None
    if not request.channel:
        raise codes.BAD_REQUEST
    return partial(_subscribe, session, number, request)


async def _subscribe(session: Session, number: int, request: SubscribeRequest) -> None:
    opening = await open_by_client(session, request)
    try:
        session.reply(Reply(id=number, subscribe=opening.complete()))
    finally:
        opening.abandon()
    await opening.announce()


async def open_by_client(session: Session, request: SubscribeRequest) -> Opening:
    """Prepare a subscription that the client asked for.

    :raises ReplyError: it may not have it.
    """
    services = session.services
    if request.channel in session.subscriptions:
        raise codes.already_subscribed()
    if len(session.subscriptions) >= services.client.channel_limit:
        services.metrics.limit_hit("channels")
        raise codes.limit_exceeded()
    kind = services.namespaces.resolve(request.channel)
    grant = await _authorise(session, kind, request)
    return await _open_granted(session, kind, grant, request)


async def open_by_server(
    session: Session, channel: str, request: SubscribeRequest, options: SubscribeOptions,
    expire_at: float = 0.0,
) -> Opening:
    """Prepare a subscription that the server decided on; `request` may carry a position."""
    kind = session.services.namespaces.resolve(channel)
    grant = Grant(info=options.info, data=options.data, expire_at=expire_at)
    mode = mode_of(kind, request, options.override, may_read_history=True)
    return await _open(session, kind, mode, grant, request, by_server=True)


async def open_restored(
    session: Session, request: SubscribeRequest, held: HeldSubscription
) -> Opening:
    """Prepare a subscription that the session had on another connection.

    What a token granted holds until the token's end; for the rest the channel's rules and the
    subscribe hook are asked again.

    :raises ReplyError: it may not have it any more; 109, it needs a new token.
    """
    if held.is_server_side:
        info = None if held.info is UNSET else bytes(held.info)
        options = SubscribeOptions(info=info, override=held.override)
        return await open_by_server(session, request.channel, request, options, held.expire_at)
    if not held.is_granted:
        return await open_by_client(session, request)
    if held.expire_at and held.expire_at <= session.services.wall():
        raise codes.token_expired()
    grant = Grant(
        info=None if held.info is UNSET else bytes(held.info),
        expire_at=held.expire_at,
        override=held.override,
        is_by_token=True,
    )
    kind = session.services.namespaces.resolve(request.channel)
    return await _open_granted(session, kind, grant, request)


async def _open_granted(
    session: Session, kind: ChannelKind, grant: Grant, request: SubscribeRequest
) -> Opening:
    mode = mode_of(
        kind,
        request,
        grant.override,
        may_read_history=may_read_history(kind, session.user, True) is None,
        may_watch=may_watch(kind, session.user, True) is None,
    )
    return await _open(session, kind, mode, grant, request, by_server=False)


async def _open(
    session: Session, kind: ChannelKind, mode: Mode, grant: Grant, request: SubscribeRequest,
    *, by_server: bool,
) -> Opening:
    opening = Opening(session, kind, mode, grant, by_server=by_server)
    ready = False
    try:
        await opening.prepare(request)
        ready = True
    finally:
        if not ready:
            opening.abandon()
    return opening


async def _authorise(session: Session, kind: ChannelKind, request: SubscribeRequest) -> Grant:
    claims = await verified(session, request.token) if request.token else None
    hook = session.services.hooks.app.subscribe
    refusal = may_subscribe(kind, session.user, session.client, claims)
    if claims is not None and refusal is None:
        return Grant(
            info=claims.info,
            expire_at=claims.expire_at or 0.0,
            override=claims.override,
            is_by_token=not claims.client,
        )
    if hook is not None and claims is None and kind.users is None and not kind.is_private:
        context = SubscribeContext(
            client=session.described(),
            channel=kind.channel,
            data=None if request.data is UNSET else bytes(request.data),
        )
        granted = await session.services.hooks.call("subscribe", hook, context)
        return Grant(
            info=None if granted.info is None else checked_json(granted.info),
            data=None if granted.data is None else checked_json(granted.data),
            expire_at=granted.expire_at or 0.0,
        )
    if refusal is not None:
        raise refusal
    return Grant()


async def verified(session: Session, token: str) -> SubscriptionClaims:
    """Return a subscription token's claims.

    :raises ReplyError: 109 it has expired, 103 it is not valid.
    """
    services = session.services
    try:
        try:
            claims = services.authenticator.subscription(token, services.wall())
        except KeyNotHeld as missing:
            await services.authenticator.fetch_key(missing)
            claims = services.authenticator.subscription(token, services.wall())
    except TokenExpired as error:
        raise codes.token_expired() from error
    except TokenError as error:
        raise codes.permission_denied() from error
    except KeysUnavailable as error:
        raise codes.internal() from error
    now = services.wall()
    if services.revocations.is_revoked(claims.user, claims.jti, claims.iss, claims.issued_at, now):
        raise codes.permission_denied()
    return claims


def unsubscribe(session: Session, number: int, command: Command) -> None:
    """Execute an unsubscribe command; leaving a channel one is not in succeeds too."""
    request = command.unsubscribe
    assert request is not None
    if not request.channel:
        raise codes.BAD_REQUEST
    session.leave(request.channel)
    session.reply(Reply(id=number, unsubscribe=Empty()))
