"""What a backend may do (the server API): no permissions are asked, channels must exist."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from functools import partial

from attrs import frozen
from msgspec import Raw

from wsmesh.channels.namespaces import ChannelKind
from wsmesh.errors import Disconnect, ReplyError
from wsmesh.protocol import codes
from wsmesh.protocol.messages import (
    ClientInfo,
    Publication,
    Push,
    RefreshPush,
    SubscribePush,
    SubscribeRequest,
)
from wsmesh.security.claims import NO_OVERRIDE, Override, SubscribeOptions
from wsmesh.security.payload import compact
from wsmesh.session.registry import Registry
from wsmesh.session.remote_calls import call_from_backend
from wsmesh.session.renewal import seconds_left
from wsmesh.session.services import Services
from wsmesh.session.session import Session
from wsmesh.session.subscribing import open_by_server
from wsmesh.store.interface import (
    Position,
    Published,
    PublishOptions,
    Stream,
    UnrecoverablePosition,
)


@frozen(kw_only=True)
class NodeInfo:
    """One node of the cluster as operators see it; `uptime` in seconds."""

    uid: str
    name: str
    version: str
    num_clients: int
    num_users: int
    num_subs: int
    num_channels: int
    uptime: int


class ServerOperations:
    """Carries out the server API on this node.

    :param started_at: monotonic time the node started.
    """

    def __init__(
        self, services: Services, registry: Registry[Session], *, name: str, version: str,
        started_at: float,
    ) -> None:
        self._services = services
        self._registry = registry
        self._name = name
        self._version = version
        self._started_at = started_at

    # -- channels -------------------------------------------------------------------------------

    async def publish(
        self, channel: str, data: bytes, *, tags: Mapping[str, str] | None = None,
        skip_history: bool = False, idempotency_key: str = "", version: int = 0,
        version_epoch: str = "",
    ) -> Published:
        """Publish JSON `data`.

        :raises ReplyError: unknown channel, or `data` is not JSON.
        :raises StoreUnavailable: nothing was published; try again.
        """
        kind = self._services.namespaces.resolve(channel)
        fault = self._services.hooks.app.fault_in(channel, data)
        if fault is not None:
            raise fault
        options = PublishOptions(
            retention=kind.retention,
            idempotency_key=idempotency_key,
            skip_history=skip_history,
            version=version,
            version_epoch=version_epoch,
        )
        try:
            line = compact(data)
        except ValueError as error:
            raise codes.bad_request("data is not valid JSON") from error
        publication = Publication(data=Raw(line), tags=dict(tags) if tags else None)
        return await self._services.store.publish(channel, publication, options)

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return who is in a channel.

        :raises ReplyError: 108, the channel keeps no presence.
        """
        kind = self._services.namespaces.resolve(channel)
        if not kind.options.presence:
            raise codes.not_available()
        return await self._services.store.presence(channel)

    async def presence_stats(self, channel: str) -> tuple[int, int]:
        """Return the numbers of clients and of users in a channel."""
        clients = await self.presence(channel)
        return len(clients), len({info.user for info in clients.values()})

    async def history(
        self, channel: str, *, limit: int, since: Position | None, reverse: bool
    ) -> Stream:
        """Read a channel's stream; no limit of publications holds for backends.

        :raises ReplyError: 108 the channel keeps no history, 112 `since` is of another epoch.
        """
        kind = self._with_history(channel)
        try:
            return await self._services.store.history(
                channel, kind.retention, limit=limit, since=since, reverse=reverse
            )
        except UnrecoverablePosition as error:
            raise codes.unrecoverable_position() from error

    async def history_remove(self, channel: str) -> None:
        """Forget a channel's publications."""
        self._with_history(channel)
        await self._services.store.remove_history(channel)

    def _with_history(self, channel: str) -> ChannelKind:
        kind = self._services.namespaces.resolve(channel)
        if not kind.retention.keeps_history:
            raise codes.not_available()
        return kind

    async def channels(self, pattern: str | None) -> Mapping[str, int]:
        """Return the channels with subscribers, and how many; `pattern` is a glob."""
        counts = self._services.hub.counts()
        if not pattern:
            return dict(counts)
        return {name: count for name, count in counts if fnmatch.fnmatchcase(name, pattern)}

    # -- clients --------------------------------------------------------------------------------

    async def subscribe(
        self, user: str, channel: str, *, client: str = "", session: str = "",
        info: bytes | None = None, data: bytes | None = None,
        recover_since: Position | None = None, expire_at: float = 0.0,
        override: Override = NO_OVERRIDE,
    ) -> None:
        """Subscribe the user's connections to a channel; those subscribed already stay so."""
        self._services.namespaces.resolve(channel)
        options = SubscribeOptions(info=info, data=data, override=override)
        since = recover_since or Position()
        request = SubscribeRequest(
            channel=channel, recover=recover_since is not None, epoch=since.epoch,
            offset=since.offset,
        )
        for found in self._registry.of_user(user, client, session):
            if channel not in found.subscriptions:
                found.run(0, partial(_subscribe, found, request, options, expire_at))

    async def unsubscribe(
        self, user: str, channel: str, *, client: str = "", session: str = ""
    ) -> None:
        """End the user's subscriptions to a channel."""
        for found in self._registry.of_user(user, client, session):
            found.unsubscribe(channel, *codes.UNSUBSCRIBED_BY_SERVER)

    async def disconnect(
        self, user: str, *, client: str = "", session: str = "", whitelist: Sequence[str] = (),
        code: int = 0, reason: str = "",
    ) -> None:
        """Disconnect the user's connections, except the clients of `whitelist`."""
        why = Disconnect(code, reason) if code else codes.FORCE_DISCONNECT
        for found in self._registry.of_user(user, client, session):
            if found.client not in whitelist:
                found.end(why)

    async def refresh(
        self, user: str, *, client: str = "", session: str = "", expired: bool = False,
        expire_at: float = 0.0, info: bytes | None = None,
    ) -> None:
        """Set the lifetime of the user's connections, or end them as expired."""
        for found in self._registry.of_user(user, client, session):
            if expired:
                found.end(codes.EXPIRED)
                continue
            found.expire_at = expire_at
            if info is not None:
                found.introduce(found.user, info)
            found.watch_expiry()
            ttl = seconds_left(found, expire_at)
            found.push(Push(refresh=RefreshPush(expires=bool(expire_at), ttl=ttl)))

    async def revoke(
        self, user: str, *, until: float, issued_before: float | None = None
    ) -> None:
        """Refuse the user's tokens until `until`, and end the connections that they opened.

        :param issued_before: tokens issued from then on stay good; None: now. Unix times.
        """
        now = self._services.wall()
        before = now if issued_before is None else issued_before
        self._services.revocations.revoke_user(user, before, until, now=now)
        for found in self._registry.of_user(user):
            if found.issued_at is None or found.issued_at < before:
                found.end(codes.INVALID_TOKEN)

    async def revoke_token(self, jti: str, *, iss: str = "", until: float) -> None:
        """Refuse a token until `until` (Unix time), and end the connections that it opened."""
        now = self._services.wall()
        self._services.revocations.revoke_token(jti, until, now=now, iss=iss)
        for found in self._registry:
            if found.token_id[1] == jti and (not iss or found.token_id[0] == iss):
                found.end(codes.INVALID_TOKEN)

    # -- node -----------------------------------------------------------------------------------

    async def info(self) -> list[NodeInfo]:
        """Return the nodes of the cluster."""
        services = self._services
        return [
            NodeInfo(
                uid=services.node_id,
                name=self._name,
                version=self._version,
                num_clients=len(self._registry),
                num_users=self._registry.users,
                num_subs=services.hub.subscriptions,
                num_channels=len(services.hub),
                uptime=int(services.now() - self._started_at),
            )
        ]

    async def rpc(self, method: str, params: bytes | None) -> bytes | None:
        """Call the application.

        :raises ReplyError: 104 nobody answers the method, or what the hook decided.
        """
        return await call_from_backend(self._services, method, params)


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
