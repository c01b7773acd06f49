"""The connect command: who is this, may they come in, and what are they subscribed to at once.

Without a connect hook, server-side subscriptions or a key to fetch, nothing has to wait and the
client is connected in the turn that read its command.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attrs import evolve, frozen
from msgspec import UNSET, Raw

from wsmesh.app import ConnectContext, ConnectGrant
from wsmesh.errors import ReplyError, TokenError, TokenExpired
from wsmesh.protocol import codes
from wsmesh.protocol.codec import Form
from wsmesh.protocol.messages import (
    ConnectRequest,
    ConnectResult,
    Push,
    Reply,
    SubscribeRequest,
)
from wsmesh.protocol.resume import Resume, Resumption
from wsmesh.security.claims import SubscribeOptions
from wsmesh.security.jwks import KeyNotHeld, KeysUnavailable
from wsmesh.session.opening import Opening
from wsmesh.session.orders import DisconnectClients
from wsmesh.session.publishing import checked_json
from wsmesh.session.session import Job, Session
from wsmesh.session.subscribing import open_by_client, open_by_server, open_restored
from wsmesh.store.sessions import HeldSubscription

SERVER_VERSION = "wsmesh"


@frozen(kw_only=True)
class Identity:
    """Who a client is, by its token and the connect hook.

    :param expire_at: Unix time, 0 never.
    :param channels: server-side subscriptions.
    """

    user: str = ""
    info: bytes | None = None
    meta: bytes | None = None
    data: bytes | None = None
    expire_at: float = 0.0
    channels: Mapping[str, SubscribeOptions] = {}
    token_id: tuple[str, str] = ("", "")
    issued_at: float | None = None


def connect(session: Session, number: int, request: ConnectRequest) -> Job | None:
    """Execute a connect command."""
    if session.is_connected:
        raise codes.BAD_REQUEST
    services = session.services
    try:
        identity = identify(session, request.token)
    except KeyNotHeld as missing:
        return partial(_fetch_key_and_connect, session, number, request, missing)
    if services.hooks.app.connect is not None:
        return partial(_connect_by_hook, session, number, request, identity)
    if identity is None:
        raise codes.BAD_REQUEST
    return _proceed(session, number, request, identity)


def identify(session: Session, token: str) -> Identity | None:
    """Return who the token says the client is; None when nothing tells.

    :raises KeyNotHeld: the key of the token has to be fetched first.
    :raises ReplyError: 109, the token has expired.
    :raises Disconnect: 3500, the token is not valid.
    """
    services = session.services
    if not token:
        anonymous = services.client.allow_anonymous_connect_without_token
        return Identity() if anonymous else None
    now = services.wall()
    try:
        claims = services.authenticator.connection(token, now)
    except KeyNotHeld:
        raise
    except TokenExpired as error:
        raise codes.token_expired() from error
    except TokenError as error:
        raise codes.INVALID_TOKEN from error
    except KeysUnavailable as error:
        raise codes.internal() from error
    if services.revocations.is_revoked(claims.user, claims.jti, claims.iss, claims.issued_at, now):
        raise codes.INVALID_TOKEN
    return Identity(
        user=claims.user,
        info=claims.info,
        meta=claims.meta,
        expire_at=claims.expire_at or 0.0,
        channels={name: SubscribeOptions() for name in claims.channels} | dict(claims.subs),
        token_id=(claims.iss, claims.jti),
        issued_at=claims.issued_at,
    )


async def _fetch_key_and_connect(
    session: Session, number: int, request: ConnectRequest, missing: KeyNotHeld
) -> None:
    await session.services.authenticator.fetch_key(missing)
    job = connect(session, number, request)
    if job is not None:
        await job()


async def _connect_by_hook(
    session: Session, number: int, request: ConnectRequest, identity: Identity | None
) -> None:
    hooks = session.services.hooks
    assert hooks.app.connect is not None
    client = evolve(session.described(), user=identity.user if identity else "")
    context = ConnectContext(
        client=client,
        data=None if request.data is UNSET else bytes(request.data),
        name=request.name,
        version=request.version,
        headers=dict(session.link.headers) | (request.headers or {}),
    )
    grant = await hooks.call("connect", hooks.app.connect, context)
    job = _proceed(session, number, request, _granted(identity or Identity(), grant))
    if job is not None:
        await job()


def _granted(identity: Identity, grant: ConnectGrant) -> Identity:
    named = {name: SubscribeOptions() for name in grant.channels}
    return evolve(
        identity,
        user=identity.user if grant.user is None else grant.user,
        info=identity.info if grant.info is None else checked_json(grant.info),
        meta=identity.meta if grant.meta is None else grant.meta,
        data=None if grant.data is None else checked_json(grant.data),
        expire_at=identity.expire_at if grant.expire_at is None else grant.expire_at,
        channels=dict(identity.channels) | named,
    )


def _proceed(
    session: Session, number: int, request: ConnectRequest, identity: Identity
) -> Job | None:
    services = session.services
    limit = services.client.user_connection_limit
    if limit and identity.user and session.registry.count(identity.user) >= limit:
        services.metrics.limit_hit("user_connections")
        raise codes.CONNECTION_LIMIT
    session.introduce(identity.user, identity.info)
    session.meta = identity.meta
    session.expire_at = identity.expire_at
    session.token_id = identity.token_id
    session.issued_at = identity.issued_at
    session.name = request.name[:16]
    session.version = request.version[:64]
    personal = services.client.subscribe_to_user_personal_channel
    channels = dict(identity.channels)
    if personal.enabled and identity.user:
        name = services.namespaces.personal_channel(
            identity.user, personal.personal_channel_namespace
        )
        channels.setdefault(name, SubscribeOptions())
    if request.resume is not None and session.form is Form.BIDIRECTIONAL:
        return partial(_connect_resuming, session, number, request, identity, channels)
    if channels or (request.subs and session.form is not Form.BIDIRECTIONAL):
        return partial(_connect_with_channels, session, number, request, identity, channels)
    _admit(session, number, identity, {})
    return None


async def _connect_with_channels(
    session: Session,
    number: int,
    request: ConnectRequest,
    identity: Identity,
    channels: Mapping[str, SubscribeOptions],
) -> None:
    openings: dict[str, Opening] = {}
    asked = request.subs or {}
    try:
        for name, options in channels.items():
            position = asked.get(name, SubscribeRequest(channel=name))
            openings[name] = await open_by_server(session, name, position, options)
        if session.form is not Form.BIDIRECTIONAL:
            for name in asked.keys() - channels.keys():
                asked[name].channel = name
                try:
                    openings[name] = await open_by_client(session, asked[name])
                except ReplyError:
                    session.services.metrics.command_error(codes.permission_denied().code)
        _admit(session, number, identity, openings)
    finally:
        for opening in openings.values():
            opening.abandon()
    for opening in openings.values():
        await opening.announce()


async def _connect_resuming(
    session: Session,
    number: int,
    request: ConnectRequest,
    identity: Identity,
    channels: Mapping[str, SubscribeOptions],
) -> None:
    assert request.resume is not None
    resumption, held = await _resume(session, request.resume)
    assert session.tenure is not None
    session.tenure.given = frozenset(channels)
    asked = request.subs or {}
    openings: dict[str, Opening] = {}
    try:
        for name, options in channels.items():
            position = asked.get(name, SubscribeRequest(channel=name))
            openings[name] = await open_by_server(session, name, position, options)
        for name, subscription in held.items():
            if name in openings or not (subscription.is_server_side or name in asked):
                continue
            wanted = asked.get(name, SubscribeRequest())
            wanted.channel = name
            try:
                openings[name] = await open_restored(session, wanted, subscription)
            except ReplyError as error:
                # The client subscribes to it as to a new channel, and learns why it may not.
                session.services.metrics.command_error(error.code)
        _admit(session, number, identity, openings, resumption)
    finally:
        for opening in openings.values():
            opening.abandon()
    for opening in openings.values():
        await opening.announce()


async def _resume(
    session: Session, asked: Resume
) -> tuple[Resumption, Mapping[str, HeldSubscription]]:
    tenures = session.services.tenures
    if asked.session:
        resumed = await tenures.resume(session, session.user, asked.session, asked.secret)
        if resumed is not None:
            session.tenure, secret, claim = resumed
            session.session_id = asked.session
            return Resumption(asked.session, secret, True), claim.entry.record.subscriptions
        session.services.metrics.limit_hit("resume_denied")
    session.tenure, secret = tenures.begin(session)
    session.session_id = session.tenure.name
    return Resumption(session.tenure.name, secret), {}


def _admit(
    session: Session, number: int, identity: Identity, openings: Mapping[str, Opening],
    resumption: Resumption | None = None,
) -> None:
    services = session.services
    personal = services.client.subscribe_to_user_personal_channel
    if personal.enabled and personal.single_connection and session.user:
        for other in session.registry.of_user(session.user):
            other.end(codes.CONNECTION_LIMIT)
        limit = codes.CONNECTION_LIMIT
        services.peers.tell(
            "", DisconnectClients(session.user, code=limit.code, reason=limit.reason)
        )
    session.welcome()
    session.link.authenticated()
    ttl = max(0, round(identity.expire_at - services.wall())) if identity.expire_at else 0
    heartbeat = session.form is not Form.BARE and services.client.ping_interval > 0
    result = ConnectResult(
        client=session.client,
        version=SERVER_VERSION,
        expires=bool(identity.expire_at),
        ttl=ttl,
        data=UNSET if identity.data is None else Raw(identity.data),
        subs={name: opening.complete() for name, opening in openings.items()} or None,
        ping=max(1, round(services.client.ping_interval)) if heartbeat else 0,
        pong=heartbeat and services.client.pong_timeout > 0,
        session=session.session_id,
        node=services.node_id,
        resume=resumption,
    )
    if session.form is Form.BIDIRECTIONAL:
        session.reply(Reply(id=number, connect=result))
    else:
        result.pong = False
        session.push(Push(connect=result))
