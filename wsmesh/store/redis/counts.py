"""What happened in the Redis store, for metrics."""

from __future__ import annotations

from attrs import define


@define
class StoreCounts:
    """Counters since the store was made.

    :ivar delivered: publications handed to this node's subscribers.
    :ivar duplicates: publications heard again and dropped.
    :ivar stale: publications of an abandoned epoch, dropped.
    :ivar repaired: publications that were missed and read from their stream.
    :ivar gaps: times that missed publications could not be read again.
    :ivar unknown: messages of a kind that this release does not know, skipped.
    :ivar garbage: messages and entries that no release wrote, dropped.
    :ivar failovers: streams that got a new epoch because the history of writes is another one.
    :ivar rollbacks: streams that got one because their top went back.
    :ivar quarantined: keys put aside because they held something else.
    :ivar below_durability: publications stored less durably than their namespace asks for.
    :ivar checked: positions compared with their streams.
    :ivar reopened: pub/sub connections opened again because their canary was not heard.
    :ivar listener_faults: exceptions of what publications were handed to.
    """

    delivered: int = 0
    duplicates: int = 0
    stale: int = 0
    repaired: int = 0
    gaps: int = 0
    unknown: int = 0
    garbage: int = 0
    failovers: int = 0
    rollbacks: int = 0
    quarantined: int = 0
    below_durability: int = 0
    checked: int = 0
    reopened: int = 0
    listener_faults: int = 0

    def epoch_replaced(self, flags: int) -> None:
        """Count what a script said about the epoch (`scripts/stream_meta.lua`)."""
        if flags & 2:
            self.failovers += 1
        if flags & 4:
            self.rollbacks += 1
