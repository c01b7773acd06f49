"""What a backend may do (the server API): no permissions are asked, channels must exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
import structlog
from msgspec import UNSET, Raw, UnsetType

from wsmesh.channels.namespaces import ChannelKind
from wsmesh.errors import ReplyError
from wsmesh.protocol import codes
from wsmesh.protocol.messages import ClientInfo, Publication
from wsmesh.security.claims import NO_OVERRIDE, Override
from wsmesh.security.payload import compact
from wsmesh.session.carrying_out import LocalClients
from wsmesh.session.orders import (
    AnyOrder,
    ConnectionInfo,
    CountChannels,
    DescribeNode,
    DisconnectClients,
    Drain,
    ListConnections,
    MoveClients,
    NodeInfo,
    RefreshClients,
    RevokeToken,
    RevokeUser,
    SubscribeClients,
    UnsubscribeClients,
    encode_order,
)
from wsmesh.session.remote_calls import call_from_backend
from wsmesh.session.services import Services
from wsmesh.store.interface import (
    Position,
    Published,
    PublishOptions,
    Stream,
    UnrecoverablePosition,
)

T = TypeVar("T")

log = structlog.get_logger("wsmesh.operations")


class ServerOperations:
    """Carries out the server API, on every node where it concerns clients.

    :param clients: those of this node.
    """

    def __init__(self, services: Services, clients: LocalClients) -> None:
        self._services = services
        self._clients = clients

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
            durability=kind.options.durability,
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
        """Return the channels with subscribers, and how many (`wsmesh.channels.patterns`).

        Nodes that do not answer are left out.

        :raises ReplyError: 107, the pattern is malformed.
        """
        counted: Counter[str] = Counter()
        for counts in await self._ask(CountChannels(pattern or ""), dict[str, int]):
            counted.update(counts)
        return counted

    # -- clients --------------------------------------------------------------------------------

    async def subscribe(
        self, user: str, channel: str, *, client: str = "", session: str = "",
        info: bytes | None = None, data: bytes | None = None,
        recover_since: Position | None = None, expire_at: float = 0.0,
        override: Override = NO_OVERRIDE,
    ) -> None:
        """Subscribe the user's connections to a channel; those subscribed already stay so."""
        self._services.namespaces.resolve(channel)
        await self._everywhere(
            SubscribeClients(
                user, channel, client, session, _raw(info), _raw(data), recover_since, expire_at,
                override,
            )
        )

    async def unsubscribe(
        self, user: str, channel: str, *, client: str = "", session: str = ""
    ) -> None:
        """End the user's subscriptions to a channel."""
        await self._everywhere(UnsubscribeClients(user, channel, client, session))

    async def disconnect(
        self, user: str, *, client: str = "", session: str = "", whitelist: Sequence[str] = (),
        code: int = 0, reason: str = "",
    ) -> None:
        """Disconnect the user's connections, except the clients of `whitelist`."""
        await self._everywhere(
            DisconnectClients(user, client, session, tuple(whitelist), code, reason)
        )

    async def refresh(
        self, user: str, *, client: str = "", session: str = "", expired: bool = False,
        expire_at: float = 0.0, info: bytes | None = None,
    ) -> None:
        """Set the lifetime of the user's connections, or end them as expired."""
        await self._everywhere(
            RefreshClients(user, client, session, expired, expire_at, _raw(info))
        )

    async def revoke(
        self, user: str, *, until: float, issued_before: float | None = None
    ) -> None:
        """Refuse the user's tokens until `until`, and end the connections that they opened.

        :param issued_before: tokens issued from then on stay good; None: now. Unix times.
        """
        before = self._services.wall() if issued_before is None else issued_before
        await self._revoke(RevokeUser(user, before, until))

    async def revoke_token(self, jti: str, *, iss: str = "", until: float) -> None:
        """Refuse a token until `until` (Unix time), and end the connections that it opened."""
        await self._revoke(RevokeToken(jti, until, iss))

    async def connections(self, user: str) -> list[ConnectionInfo]:
        """Return the user's connections, wherever they are; silent nodes are left out."""
        answers = await self._ask(ListConnections(user), list[ConnectionInfo])
        return [connection for answer in answers for connection in answer]

    # -- nodes ----------------------------------------------------------------------------------

    async def info(self) -> list[NodeInfo]:
        """Return the nodes of the cluster; one that does not answer, with what is known of it."""
        services = self._services
        nodes = dict(services.peers.known())
        nodes.update({each.uid: each for each in await self._ask(DescribeNode(), NodeInfo)})
        return sorted(nodes.values(), key=lambda node: (node.name, node.uid))

    async def drain(self, node: str) -> None:
        """Have a node, named by its id or name, stop as on SIGTERM; it goes on after this returns.

        :raises ReplyError: 107 there is no such node, or more than one of that name; 100 it does
            not answer.
        """
        await self._order(node, Drain())

    async def move(self, node: str, within: float) -> None:
        """Have a node, named by its id or name, send its clients elsewhere, and go on.

        :param within: seconds until the last one is told.
        :raises ReplyError: 107 there is no such node, or more than one of that name.
        """
        await self._order(node, MoveClients(within))

    async def _order(self, node: str, order: AnyOrder) -> None:
        found = [each.uid for each in await self.info() if node in (each.uid, each.name)]
        if len(found) != 1:
            raise codes.bad_request(f"{len(found)} nodes are called {node!r}")
        if found[0] == self._services.node_id:
            self._clients.carry_out(order)
        else:
            await self._services.peers.ask(found[0], order)

    async def rpc(self, method: str, params: bytes | None) -> bytes | None:
        """Call the application.

        :raises ReplyError: 104 nobody answers the method, or what the hook decided.
        """
        return await call_from_backend(self._services, method, params)

    async def _revoke(self, order: RevokeUser | RevokeToken) -> None:
        """Keep it for nodes that are away, or start later; then tell all."""
        users = self._services.users
        if users is not None:
            await users.add_revocation(encode_order(order), order.until)
        await self._everywhere(order)

    async def _everywhere(self, order: AnyOrder) -> None:
        """Carry out an order here and on every other node.

        :raises ReplyError: 100, not every node did it; doing it again does no harm.
        """
        self._clients.carry_out(order)
        answers = await self._services.peers.everywhere(order)
        failures = [answer for answer in answers.values() if isinstance(answer, Exception)]
        if failures:
            done = len(answers) + 1 - len(failures)
            raise ReplyError(
                100, f"done on {done} of {len(answers) + 1} nodes: {failures[0]}", temporary=True
            )

    async def _ask(self, order: AnyOrder, kind: type[T]) -> list[T]:
        own = self._clients.carry_out(order)
        found = [msgspec.convert(own, kind)]
        for node, answer in (await self._services.peers.everywhere(order)).items():
            if isinstance(answer, Exception):
                log.warning("peer.no_answer", node=node, error=str(answer))
                continue
            try:
                found.append(msgspec.json.decode(answer, type=kind))
            except msgspec.DecodeError as error:
                log.warning("peer.wrong_answer", node=node, error=str(error))
        return found


def _raw(data: bytes | None) -> Raw | UnsetType:
    return UNSET if data is None else Raw(data)
