"""What a reader has not read yet: events in order, bounded by those who put them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import trio
from attrs import define, field

from wsmesh.client.events import Dropped

Item = TypeVar("Item")


def _never(unread: object, new: object) -> None:
    """Merge nothing."""


@define(eq=False)
class Buffer(Generic[Item]):
    """Events on their way to a reader.

    Publications are bounded by the track that feeds the buffer, or, with `newest`, by throwing the
    oldest events away; the count of those is kept and shown to the reader.

    :param merge: makes one event of the latest unread one and a new one, None: keep both.
    """

    merge: Callable[[Item, Item], Item | None] = _never
    newest: int | None = None
    dropped: int = 0
    _items: deque[Item] = field(factory=deque)
    _readers: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    _end: Exception | None = None

    def put(self, item: Item) -> None:
        """Append without waiting, merging with the latest event when that was not read yet."""
        if self._end is not None:
            return
        if self._items and (both := self.merge(self._items[-1], item)) is not None:
            self._items[-1] = both
            return
        if self.newest is not None and len(self._items) >= self.newest:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._readers.unpark()

    def close(self, end: Exception) -> None:
        """Let readers have what is there, then raise `end` in them. The first end counts."""
        if self._end is None:
            self._end = end
        self._readers.unpark_all()

    async def take(self) -> Item | Dropped:
        """Return the oldest event; nothing is lost when this is cancelled."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.dropped:
                count, self.dropped = self.dropped, 0
                return Dropped(count=count)
            if self._items:
                return self._items.popleft()
            if self._end is not None:
                raise self._end
            await self._readers.park()
