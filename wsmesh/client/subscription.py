"""A subscription as its user holds it: an async iterator of publications."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from attrs import define

from wsmesh.client.core import Core
from wsmesh.client.events import (
    Dropped,
    Joined,
    Left,
    Publication,
    Subscribed,
    SubscriptionEvent,
    Unsubscribed,
)
from wsmesh.client.reader import Reader
from wsmesh.client.track import Track
from wsmesh.protocol.messages import StreamPosition


@define(eq=False)
class Subscription:
    """Yields the channel's publications, each once and in order, across reconnections.

    Iteration ends when the server ends the subscription (`ended` says why) and raises
    `Disconnected` when the client is over. At most `buffer` publications are held for a reader that
    is busy; past that the client leaves the channel and comes back, recovering, when the reader has
    taken half of them.

    :param continuity: the outcome of subscribing that the publications read last follow from;
        look at `continuity.is_gap` to learn that some were missed before them.
    :param ended: how the server ended the subscription, once the iteration has come to it.
    """

    channel: str
    continuity: Subscribed | None
    ended: Unsubscribed | None
    _track: Track
    _reader: Reader
    _core: Core

    @property
    def position(self) -> StreamPosition | None:
        """Up to where the channel was received, None in channels without positions."""
        at = self._track.position
        return None if at is None else StreamPosition(offset=at.offset, epoch=at.epoch)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Publication:
        while (event := await self._next()) is not None:
            if isinstance(event, Publication):
                return event
        raise StopAsyncIteration

    async def events(self) -> AsyncGenerator[SubscriptionEvent]:
        """Yield publications together with what became of the subscription, in order."""
        while (event := await self._next()) is not None:
            yield event

    async def _next(self) -> SubscriptionEvent | None:
        if self.ended is not None:
            return None
        event = await self._reader.buffer.take()
        match event:
            case Publication() | Joined() | Left():
                if self._track.took_one():
                    self._core.want(self._track)
            case Subscribed():
                self.continuity = event
            case Unsubscribed():
                self.ended = event
            case Dropped():
                raise AssertionError("a subscription's buffer is bounded by its track")
        return event
