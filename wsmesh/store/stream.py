"""One channel's retained publications, epoch and offsets, in memory. Pure."""

from __future__ import annotations

from collections import deque
from itertools import islice

from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import (
    Position,
    PublishOptions,
    Recovery,
    Retention,
    Stream,
    UnrecoverablePosition,
)

_NOTHING: deque[Publication] = deque(maxlen=0)


class MemoryStream:
    """A stream; `publications` are contiguous and, unless empty, end with `top`.

    Whoever uses one replaces it when it `is_forgotten`, and lets it `expire` before reading.
    Appending is done by `MemoryStore.publish_nowait`, which writes the fields itself.
    """

    __slots__ = (
        "epoch", "expire_at", "forget_at", "publications", "top", "version", "version_epoch",
    )

    def __init__(self, epoch: str, forget_at: float) -> None:
        self.epoch = epoch
        self.top = 0
        # An empty deque takes 624 bytes, and many a stream is only ever asked for its top.
        self.publications = _NOTHING
        self.expire_at = 0.0
        self.forget_at = forget_at
        self.version = 0
        self.version_epoch = ""

    def is_forgotten(self, now: float) -> bool:
        """Whether epoch and offsets are no longer kept."""
        return now >= self.forget_at

    def expire(self, now: float) -> None:
        """Drop the publications when their time is over."""
        if now >= self.expire_at:
            self.clear()

    def clear(self) -> None:
        """Drop the publications."""
        self.publications = _NOTHING

    def keep_for(self, retention: Retention, now: float) -> None:
        """Postpone forgetting, because somebody was told the epoch at `now`."""
        self.forget_at = max(self.forget_at, now + retention.meta_ttl)

    def resize(self, size: int) -> deque[Publication]:
        """Keep at most `size` publications from now on, the latest."""
        self.publications = deque(self.publications, size)
        return self.publications

    def has_seen(self, options: PublishOptions) -> bool:
        """Whether the version that these options name is not above the last one."""
        return 0 < options.version <= self.version and options.version_epoch in (
            "", self.version_epoch,
        )

    def recover(self, since: Position, limit: int) -> Recovery:
        """Return all of what follows `since`, or nothing (`interface.Store.recover`)."""
        top = Position(self.epoch, self.top)
        known = since.epoch == self.epoch or (since.epoch == "" and since.offset == 0)
        missing = self.top - since.offset
        if not known or not 0 <= missing <= min(limit, len(self.publications)):
            return Recovery(False, top)
        return Recovery(True, top, self._latest(missing))

    def read(self, limit: int, since: Position | None, reverse: bool) -> Stream:
        """Return publications from one end or from `since` on (`interface.Store.history`).

        :raises UnrecoverablePosition: `since` is of another epoch.
        """
        top = Position(self.epoch, self.top)
        if since is not None and since.epoch not in ("", self.epoch):
            raise UnrecoverablePosition(f"epoch {self.epoch}, asked for {since.epoch}")
        if limit == 0:
            return Stream(top)
        kept = self.publications
        first = self.top - len(kept) + 1
        skipped = 0
        if since is not None:
            skipped = self.top - since.offset + 1 if reverse else since.offset - first + 1
            # A client may name any offset, islice takes 63 bits.
            skipped = min(max(skipped, 0), len(kept))
        wanted = len(kept) if limit < 0 else min(limit, len(kept))
        ordered = reversed(kept) if reverse else iter(kept)
        return Stream(top, tuple(islice(ordered, skipped, skipped + wanted)))

    def _latest(self, count: int) -> tuple[Publication, ...]:
        newest_first = tuple(islice(reversed(self.publications), count))
        return newest_first[::-1]
