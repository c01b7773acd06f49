"""What the user of a client holds: requests, subscriptions, and the state of the connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from attrs import define
from msgspec import UNSET

from wsmesh.client import advice
from wsmesh.client.codec import to_raw
from wsmesh.client.core import MoveOrder
from wsmesh.client.errors import MoveFailed, NotConnected
from wsmesh.client.inbox import Messages, ServerPublications
from wsmesh.client.reader import Reader
from wsmesh.client.requests import Requests
from wsmesh.client.subscription import Subscription
from wsmesh.client.track import Track, Wishes
from wsmesh.client.urls import split
from wsmesh.errors import ReplyError
from wsmesh.protocol.messages import StreamPosition

#: Below are error codes of refused subscribes, from here on the server's unsubscribe codes.
_FIRST_UNSUBSCRIBE_CODE = 2000


@define(eq=False)
class Client(Requests):
    """A client that stays connected; made by `open_client`.

    :param publications: what the server-side subscriptions bring.
    :param messages: data for this client alone.
    """

    publications: ServerPublications
    messages: Messages

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "connecting"
        return f"<Client {self.url} {state if self._core.ending is None else 'disconnected'}>"

    @property
    def is_connected(self) -> bool:
        """Whether a connection works, as far as is known."""
        return self._core.link is not None

    @property
    def url(self) -> str:
        """The address of the connection, or of the next attempt."""
        link = self._core.link
        return self._core.url if link is None else link.url

    @property
    def client_id(self) -> str:
        """The id the server gave to the present connection, empty while there is none."""
        link = self._core.link
        return link.result.client if link is not None and link.result is not None else ""

    @property
    def session(self) -> str:
        """The session id of the present connection, empty when there is none."""
        link = self._core.link
        return link.result.session if link is not None and link.result is not None else ""

    async def wait_connected(self, within: float | None = None) -> None:
        """Wait until a connection works.

        :param within: seconds, None: the request deadline.
        :raises NotConnected: none did in time.
        :raises Disconnected: none will.
        """
        limit = self._core.options.deadlines.request if within is None else within
        await self._core.wait_link(limit)

    async def move(self, url: str | None = None) -> None:
        """Move to another address, or connect to the same one afresh, without a gap.

        The new connection is opened and subscribed, recovering, before the old one is closed. A
        channel with history loses and repeats nothing; in one without, publications of the moment
        of the change may be missed or repeated. Returns when the new connection is in use.

        :raises MoveFailed: the one attempt failed; the client stays where it was.
        :raises Disconnected: the client is over.
        """
        if url is not None:
            split(url)
        core = self._core
        while core.order is not None and not core.order.is_advised:
            await core.order.done.wait()
        core.check()
        order = core.order = MoveOrder(url=url)
        core.bell.ring()
        await order.done.wait()
        core.check()
        if order.failure is not None:
            raise MoveFailed(f"still at {core.url}: {order.failure.reason}")

    @asynccontextmanager
    async def subscribe(
        self,
        channel: str,
        *,
        recover: bool = False,
        positioned: bool = False,
        join_leave: bool = False,
        since: StreamPosition | None = None,
        token: str = "",
        get_token: Callable[[str], Awaitable[str]] | None = None,
        data: object = UNSET,
        buffer: int | None = None,
    ) -> AsyncGenerator[Subscription]:
        """Subscribe to a channel for the length of the context.

        :param recover: ask for recovery; without it the server's configuration decides.
        :param positioned: ask the server to check that nothing is missed.
        :param join_leave: ask for join and leave events, see `Subscription.events`.
        :param since: begin after this position, recovering what follows it.
        :param token: a subscription token; `get_token(channel)` fetches one when it is missing or
            expired, returns "" or raises `Unauthorized` when there is none.
        :param data: sent with every subscribe.
        :param buffer: publications held for a busy reader, None: as given to `open_client`.
        :raises ReplyError: the server refused.
        :raises NotConnected: no connection, or no answer, within the request deadline.
        :raises ValueError: this client has a subscription to the channel.
        """
        core = self._core
        core.check()
        if channel in core.registry.chosen:
            raise ValueError(f"this client is already subscribed to {channel!r}")
        wishes = Wishes(
            recoverable=recover,
            positioned=positioned,
            join_leave=join_leave,
            data=to_raw(data),
            capacity=core.options.buffer if buffer is None else buffer,
        )
        position = since and StreamPosition(offset=since.offset, epoch=since.epoch)
        track = Track(channel=channel, wishes=wishes, position=position)
        reader = Reader(token=token, get_token=get_token)
        core.registry.chosen[channel] = track
        core.readers[track] = reader
        core.want(track)
        try:
            await self._wait_subscribed(reader)
            yield Subscription(channel, None, None, track, reader, core)
        finally:
            del core.registry.chosen[channel]
            del core.readers[track]
            if not track.is_over:
                track.is_over = True
                core.leave(track)

    async def _wait_subscribed(self, reader: Reader) -> None:
        within = self._core.options.deadlines.request
        with trio.move_on_after(within):
            await reader.settled.wait()
        self._core.check()
        if not reader.settled.is_set():
            raise NotConnected(within, self._core.last_failure or "the subscribe was not answered")
        if (over := reader.over) is not None and over.code < _FIRST_UNSUBSCRIBE_CODE:
            if over.code == advice.UNAUTHORIZED:
                raise ReplyError(101, "unauthorized")
            raise ReplyError(over.code, over.reason)
