"""The connect command: who is this, may they come in, and what are they subscribed to at once.

Without a connect hook, server-side subscriptions or a key to fetch, nothing has to wait and the
client is connected in the turn that read its command.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from attrs import evolve
from msgspec import UNSET, Raw

from wsmesh.app import ConnectContext
from wsmesh.errors import Disconnect, ReplyError
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
from wsmesh.security.jwks import KeyNotHeld
from wsmesh.session.identifying import Identity, identify, with_grant
from wsmesh.session.opening import Opening
from wsmesh.session.orders import DisconnectClients
from wsmesh.session.session import Job, Session
from wsmesh.session.subscribing import open_by_client, open_by_server, open_restored
from wsmesh.store.sessions import HeldSubscription

SERVER_VERSION = "wsmesh"


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
    job = _proceed(session, number, request, with_grant(identity or Identity(), grant))
    if job is not None:
        await job()


def _proceed(
    session: Session, number: int, request: ConnectRequest, identity: Identity
) -> Job | None:
    services = session.services
    limit = services.client.user_connection_limit
    if limit and identity.user:
        if session.registry.count(identity.user) >= limit:
            raise _too_many(session)
        if services.headcount.is_shared:
            return partial(_count_and_go_on, session, number, request, identity)
    return _go_on(session, number, request, identity)


async def _count_and_go_on(
    session: Session, number: int, request: ConnectRequest, identity: Identity
) -> None:
    services = session.services
    limit = services.client.user_connection_limit
    is_admitted = await services.headcount.enter(identity.user, session.client, limit)
    if session.is_over:
        services.headcount.leave(session.client)
        return
    if not is_admitted:
        raise _too_many(session)
    job = _go_on(session, number, request, identity)
    if job is not None:
        await job()


def _too_many(session: Session) -> Disconnect:
    session.services.metrics.limit_hit("user_connections")
    return codes.CONNECTION_LIMIT


def _go_on(
    session: Session, number: int, request: ConnectRequest, identity: Identity
) -> Job | None:
    services = session.services
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
            resumption = Resumption(asked.session, secret, True, session.services.return_window())
            return resumption, claim.entry.record.subscriptions
        session.services.metrics.limit_hit("resume_denied")
    session.tenure, secret = tenures.begin(session)
    session.session_id = session.tenure.name
    window = session.services.return_window()
    return Resumption(session.tenure.name, secret, window=window), {}


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
