"""Frames that a client's socket does not take yet, and what happens when there are too many.

Exists only while a connection is stalled. Bounded in bytes; what does not fit is decided by the
channel's `slow_consumer` policy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from wsmesh.channels.channel import Channel

TOLERATED = 64
"""Dropped entries that may stay in the queue; frames are bounded in bytes, these by number."""


class Entry:
    """A queued frame; dropped ones stay in the queue, empty."""

    __slots__ = ("channel", "frame")

    def __init__(self, frame: bytes, channel: Channel | None) -> None:
        self.frame = frame
        self.channel = channel


class StalledFrames:
    """A bounded queue of frames.

    :param limit: bytes.
    :param overflown: called when a frame does not fit and may not be dropped.
    :param dropped: called for every frame dropped by policy.
    """

    __slots__ = (
        "_by_channel", "_dead", "_dropped", "_entries", "_head", "_is_sealed", "_limit",
        "_overflown", "size",
    )  # fmt: skip

    def __init__(
        self, limit: int, overflown: Callable[[], None], dropped: Callable[[], None]
    ) -> None:
        self.size = 0
        self._is_sealed = False
        self._dead = 0
        self._head = b""
        self._entries: deque[Entry] = deque()
        self._by_channel: dict[str, deque[Entry]] = {}
        self._limit = limit
        self._overflown = overflown
        self._dropped = dropped

    def __len__(self) -> int:
        """Entries of the queue, dropped ones included."""
        return len(self._entries)

    def __bool__(self) -> bool:
        return bool(self._head or self.size)

    def begin(self, rest: bytes) -> None:
        """Put what the socket did not take of an interrupted write; it goes first, and whole."""
        self._head = rest
        self.size += len(rest)
        if self.size > self._limit:
            self._overflown()

    def put(self, frame: bytes, channel: Channel | None) -> None:
        """Queue a frame, or apply the channel's policy."""
        if self._is_sealed:
            return
        policy = "disconnect" if channel is None else channel.policy
        if policy == "keep_latest" and channel is not None:
            self._drop(channel.name, everything=True)
        while self.size + len(frame) > self._limit:
            if policy == "drop_oldest" and channel is not None and self._drop(channel.name):
                continue
            if policy == "disconnect":
                self._overflown()
            else:
                self._dropped()
            return
        entry = Entry(frame, channel)
        self._entries.append(entry)
        self.size += len(frame)
        if policy != "disconnect" and channel is not None:
            self._by_channel.setdefault(channel.name, deque()).append(entry)

    def take(self, most: int) -> bytes:
        """Return about `most` bytes to send next; `begin` takes back what was not sent."""
        parts = [self._head]
        size = len(self._head)
        while self._entries and size < most:
            entry = self._entries.popleft()
            if entry.channel is not None and entry.channel.name in self._by_channel:
                queued = self._by_channel[entry.channel.name]
                if queued and queued[0] is entry:
                    queued.popleft()
                if not queued:
                    del self._by_channel[entry.channel.name]
            if not entry.frame:
                self._dead -= 1
            parts.append(entry.frame)
            size += len(entry.frame)
        self._head = b""
        self.size -= size
        return b"".join(parts)

    def seal(self) -> None:
        """Take no further frames: the last one is queued."""
        self._is_sealed = True

    def clear(self) -> None:
        """Forget what has not been begun; an interrupted frame has to be completed."""
        self._entries.clear()
        self._dead = 0
        self._by_channel.clear()
        self.size = len(self._head)

    def _drop(self, channel: str, *, everything: bool = False) -> bool:
        queued = self._by_channel.get(channel)
        found = False
        while queued:
            entry = queued.popleft()
            self.size -= len(entry.frame)
            entry.frame = b""
            self._dead += 1
            self._dropped()
            found = True
            if not everything:
                break
        if self._dead > TOLERATED and 2 * self._dead > len(self._entries):
            self._entries = deque(entry for entry in self._entries if entry.frame)
            self._dead = 0
        return found


class Discarding:
    """The backlog of a connection that is gone: nothing is kept."""

    __slots__ = ()

    def put(self, frame: bytes, channel: Channel | None) -> None:
        """Forget the frame."""


DISCARDING = Discarding()
