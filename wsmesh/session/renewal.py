"""Renewing what expires: connections and subscriptions, by fresh tokens or by hooks."""

from __future__ import annotations

from functools import partial

from wsmesh.app import RefreshContext
from wsmesh.protocol import codes
from wsmesh.protocol.messages import (
    Command,
    RefreshRequest,
    RefreshResult,
    Reply,
    SubRefreshRequest,
    SubRefreshResult,
)
from wsmesh.security.jwks import KeyNotHeld
from wsmesh.session.identifying import identify
from wsmesh.session.opening import watch_expiry
from wsmesh.session.publishing import checked_json
from wsmesh.session.session import Job, Session
from wsmesh.session.subscribing import verified


def refresh(session: Session, number: int, command: Command) -> Job:
    """Execute a refresh command."""
    request = command.refresh
    assert request is not None
    return partial(_refresh, session, number, request)


async def _refresh(session: Session, number: int, request: RefreshRequest) -> None:
    hook = session.services.hooks.app.refresh
    if request.token:
        try:
            identity = identify(session, request.token)
        except KeyNotHeld as missing:
            await session.services.authenticator.fetch_key(missing)
            identity = identify(session, request.token)
        if identity is None or identity.user != session.user:
            raise codes.INVALID_TOKEN
        session.expire_at = identity.expire_at
        session.token_id = identity.token_id
        session.issued_at = identity.issued_at
    elif hook is not None:
        context = RefreshContext(client=session.described(), token=request.token)
        grant = await session.services.hooks.call("refresh", hook, context)
        if grant.expired:
            raise codes.EXPIRED
        session.expire_at = grant.expire_at or 0.0
        if grant.info is not None:
            session.introduce(session.user, checked_json(grant.info))
    else:
        raise codes.BAD_REQUEST
    session.watch_expiry()
    session.reply(
        Reply(
            id=number,
            refresh=RefreshResult(
                client=session.client,
                expires=bool(session.expire_at),
                ttl=seconds_left(session, session.expire_at),
            ),
        )
    )


def seconds_left(session: Session, expire_at: float) -> int:
    """Return the whole seconds until `expire_at` (Unix time), 0 when it is 0 or past."""
    return max(0, round(expire_at - session.services.wall())) if expire_at else 0


def refresh_subscription(session: Session, number: int, command: Command) -> Job:
    """Execute a sub_refresh command."""
    request = command.sub_refresh
    assert request is not None
    if not request.channel:
        raise codes.BAD_REQUEST
    return partial(_refresh_subscription, session, number, request)


async def _refresh_subscription(
    session: Session, number: int, request: SubRefreshRequest
) -> None:
    subscription = session.subscriptions.get(request.channel)
    if subscription is None:
        raise codes.permission_denied()
    if not request.token:
        raise codes.BAD_REQUEST
    claims = await verified(session, request.token)
    if claims.channel != request.channel or claims.user != session.user:
        raise codes.permission_denied()
    subscription.expire_at = claims.expire_at or 0.0
    ttl = watch_expiry(session, subscription)
    result = SubRefreshResult(expires=bool(subscription.expire_at), ttl=ttl)
    session.reply(Reply(id=number, sub_refresh=result))
