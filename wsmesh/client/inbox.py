"""What the server sends without being asked: publications of its subscriptions, and messages."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from attrs import define

from wsmesh.client.buffer import Buffer
from wsmesh.client.events import Dropped, Publication, SubscriptionEvent, parsed


@define(eq=False)
class ServerPublications:
    """Yields the publications of all server-side subscriptions; `publication.channel` tells which.

    The newest `buffer` events are kept for a reader that is busy; `events()` shows, as `Dropped`,
    how many were thrown away. Raises `Disconnected` when the client is over.
    """

    _buffer: Buffer[SubscriptionEvent]

    def __aiter__(self) -> ServerPublications:
        return self

    async def __anext__(self) -> Publication:
        while True:
            event = await self._buffer.take()
            if isinstance(event, Publication):
                return event

    async def events(self) -> AsyncGenerator[SubscriptionEvent | Dropped]:
        """Yield publications together with what became of the subscriptions, in order."""
        while True:
            yield await self._buffer.take()


@define(eq=False)
class Messages:
    """Yields, parsed, the data that the server sends to this client alone.

    The newest `buffer` messages are kept for a reader that is busy. Raises `Disconnected` when the
    client is over.
    """

    _buffer: Buffer[bytes]

    def __aiter__(self) -> Messages:
        return self

    async def __anext__(self) -> Any:
        while True:
            item = await self._buffer.take()
            if not isinstance(item, Dropped):
                return parsed(item)
