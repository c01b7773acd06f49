"""Requests of a client: each waits for a connection and for its answer, within a deadline."""

from __future__ import annotations

from typing import Any

import trio
from attrs import define
from msgspec import UNSET

from wsmesh.client.codec import from_raw, to_raw
from wsmesh.client.core import Core
from wsmesh.client.errors import NotConnected, OutcomeUnknown, RequestTimeout
from wsmesh.client.events import ClientInfo, History, PresenceStats, Publication, parsed
from wsmesh.client.link import NotSent
from wsmesh.errors import ReplyError
from wsmesh.protocol.messages import (
    Command,
    HistoryRequest,
    HistoryResult,
    PresenceRequest,
    PresenceStatsRequest,
    PresenceStatsResult,
    PublishRequest,
    Reply,
    RPCRequest,
    SendRequest,
    StreamPosition,
)


@define(eq=False)
class Requests:
    """What a client can ask of the server.

    Every method waits for a connection if there is none, and raises `NotConnected` or
    `RequestTimeout` past the request deadline, `wsmesh.errors.ReplyError` when the server answers
    with an error, and `Disconnected` when the client is over. `publish` and `rpc` raise
    `OutcomeUnknown` when the connection is lost before the answer; the others ask again.
    """

    _core: Core

    async def publish(self, channel: str, data: object) -> None:
        """Publish `data`, anything with a JSON form; returns when the server accepted it."""
        request = PublishRequest(channel=channel, data=to_raw(data))
        await self._ask(Command(publish=request))

    async def rpc(self, method: str, data: object = UNSET) -> Any:
        """Call application code in the server and return what it answers, parsed."""
        reply = await self._ask(Command(rpc=RPCRequest(method=method, data=to_raw(data))))
        return parsed(from_raw(reply.rpc.data)) if reply.rpc is not None else None

    async def send(self, data: object) -> None:
        """Send data that the server does not answer; returns when it is written."""
        core = self._core
        within = core.options.deadlines.request
        command = Command(send=SendRequest(data=to_raw(data)))
        with trio.move_on_after(within):
            while True:
                link = await core.wait_link(within)
                try:
                    return await link.tell(command)
                except NotSent:
                    await link.ended.wait()
        raise RequestTimeout(f"not written within {within:g} s")

    async def history(
        self,
        channel: str,
        *,
        limit: int = 0,
        since: StreamPosition | None = None,
        reverse: bool = False,
    ) -> History:
        """Read a channel's stream.

        :param limit: publications at most; 0 asks for the top position only, -1 for all.
        :param since: only what comes after (`reverse`: before) this position.
        :param reverse: latest first.
        """
        request = HistoryRequest(channel=channel, limit=limit, since=since, reverse=reverse)
        result = (await self._ask_again(Command(history=request))).history or HistoryResult()
        return History(
            publications=tuple(Publication.of(channel, p) for p in result.publications or ()),
            position=StreamPosition(offset=result.offset, epoch=result.epoch),
        )

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Return who is in a channel: client id -> info."""
        reply = await self._ask_again(Command(presence=PresenceRequest(channel=channel)))
        present = reply.presence.presence if reply.presence is not None else {}
        return {client: ClientInfo.of(info) for client, info in present.items()}

    async def presence_stats(self, channel: str) -> PresenceStats:
        """Return how many are in a channel."""
        reply = await self._ask_again(Command(presence_stats=PresenceStatsRequest(channel=channel)))
        result = reply.presence_stats or PresenceStatsResult()
        return PresenceStats(clients=result.num_clients, users=result.num_users)

    async def _ask(self, command: Command) -> Reply:
        return await self._ask_until(command, repeatable=False)

    async def _ask_again(self, command: Command) -> Reply:
        return await self._ask_until(command, repeatable=True)

    async def _ask_until(self, command: Command, *, repeatable: bool) -> Reply:
        core = self._core
        within = core.options.deadlines.request
        was_connected = False
        with trio.move_on_after(within):
            while True:
                link = await core.wait_link(within)
                was_connected = True
                try:
                    reply = await link.ask(command)
                except NotSent:
                    await link.ended.wait()
                    continue
                except OutcomeUnknown:
                    core.check()
                    if not repeatable:
                        raise
                    continue
                if reply.error is not None:
                    error = reply.error
                    raise ReplyError(error.code, error.message, error.temporary)
                return reply
        if not was_connected:
            raise NotConnected(within, core.last_failure)
        raise RequestTimeout(f"no answer within {within:g} s")
