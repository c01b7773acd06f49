"""Frames that a client's socket does not take yet, and what happens when there are too many.

Exists only while a connection is stalled. Bounded in bytes; what does not fit is decided by the
channel's `slow_consumer` policy. All backlogs of a node together are bounded by its `Budget`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from wsmesh.channels.channel import Channel

TOLERATED = 64
"""Dropped entries that may stay in the queue; frames are bounded in bytes, these by number."""


RESERVE = 16
"""An exceeded budget is cleared down to 15/16 of it: looking for the largest backlogs means looking
at all of them, which has to pay for more than one frame."""


class Budget:
    """What the backlogs of a node may hold together; the largest give way first.

    Frames that several clients wait for are counted for each of them, so this bounds the memory
    and does not measure it.

    :param limit: returns the bytes allowed now.
    :ivar held: bytes of all backlogs that are not sealed; those of the others are on their way out.
    """

    __slots__ = ("_limit", "_members", "held")

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._members: dict[StalledFrames, None] = {}
        self.held = 0

    def __len__(self) -> int:
        """Backlogs that are not sealed."""
        return len(self._members)

    def join(self, frames: StalledFrames) -> None:
        """Bound also this backlog."""
        self._members[frames] = None

    def leave(self, frames: StalledFrames) -> None:
        """Do not count this backlog any longer; harmless when it already left."""
        if self._members.pop(frames, self) is None:
            self.held -= frames.size

    def check(self) -> None:
        """End what is too large. O(1), and O(n log n) of n backlogs for 1/16 of the budget."""
        limit = self._limit()
        if self.held <= limit:
            return
        enough = limit - limit // RESERVE
        for frames in sorted(self._members, key=_size, reverse=True):
            if self.held <= enough:
                break
            frames.overflown("send_queue_total")


class Entry:
    """A queued frame; dropped ones stay in the queue, empty."""

    __slots__ = ("channel", "frame")

    def __init__(self, frame: bytes, channel: Channel | None) -> None:
        self.frame = frame
        self.channel = channel


class StalledFrames:
    """A bounded queue of frames.

    :param limit: bytes.
    :param overflown: called with the name of the limit that ends the connection: its own, when a
        frame does not fit and may not be dropped, or the node's.
    :param dropped: called for every frame dropped by policy.
    :param budget: of the node.
    """

    __slots__ = (
        "_budget", "_by_channel", "_dead", "_dropped", "_entries", "_head", "_is_sealed", "_limit",
        "overflown", "size",
    )  # fmt: skip

    def __init__(
        self, limit: int, overflown: Callable[[str], None], dropped: Callable[[], None],
        budget: Budget,
    ) -> None:
        self.size = 0
        self._budget = budget
        self._is_sealed = False
        self._dead = 0
        self._head = b""
        self._entries: deque[Entry] = deque()
        self._by_channel: dict[str, deque[Entry]] = {}
        self._limit = limit
        self.overflown = overflown
        self._dropped = dropped
        budget.join(self)

    def __len__(self) -> int:
        """Entries of the queue, dropped ones included."""
        return len(self._entries)

    def __bool__(self) -> bool:
        return bool(self._head or self.size)

    def begin(self, rest: bytes) -> None:
        """Put what the socket did not take of an interrupted write; it goes first, and whole."""
        self._head = rest
        self._grow(len(rest))
        if self.size > self._limit:
            self.overflown("slow_consumer")
        self._budget.check()

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
                self.overflown("slow_consumer")
            else:
                self._dropped()
            return
        entry = Entry(frame, channel)
        self._entries.append(entry)
        self._grow(len(frame))
        if policy != "disconnect" and channel is not None:
            self._by_channel.setdefault(channel.name, deque()).append(entry)
        self._budget.check()

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
        self._grow(-size)
        return b"".join(parts)

    def seal(self, last: bytes = b"") -> None:
        """Take no further frames after the last one, which is queued whatever the limits."""
        if not self._is_sealed:
            self._budget.leave(self)
            self._is_sealed = True
            if last:
                self._entries.append(Entry(last, None))
                self._grow(len(last))

    def clear(self) -> None:
        """Forget what has not been begun; an interrupted frame has to be completed."""
        self._entries.clear()
        self._dead = 0
        self._by_channel.clear()
        self._grow(len(self._head) - self.size)

    def _grow(self, size: int) -> None:
        self.size += size
        if not self._is_sealed:
            self._budget.held += size

    def _drop(self, channel: str, *, everything: bool = False) -> bool:
        queued = self._by_channel.get(channel)
        found = False
        while queued:
            entry = queued.popleft()
            self._grow(-len(entry.frame))
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


def _size(frames: StalledFrames) -> int:
    return frames.size


class Discarding:
    """The backlog of a connection that is gone: nothing is kept."""

    __slots__ = ()

    def put(self, frame: bytes, channel: Channel | None) -> None:
        """Forget the frame."""


DISCARDING = Discarding()
