"""How far a node may trust what it sees: whether it is late, cut off, or the store was away."""

from __future__ import annotations

import math
from collections.abc import Collection

from attrs import define, field

from wsmesh.cluster.actions import Timing
from wsmesh.cluster.view import Seen

MOST_UNWELL = 8


@define
class SelfDoubt:
    """What one node holds against itself.

    :param score: 0 is well; every stall adds one, every interval without takes one off.
    """

    timing: Timing
    score: int = 0
    _unwell_since: float = -math.inf
    _heard: dict[str, float] = field(factory=dict, init=False)
    _store_since: float | None = field(default=None, init=False)

    @property
    def due(self) -> float:
        """When `recover` has something to do; infinity for never."""
        return self._unwell_since + self.timing.interval if self.score else math.inf

    def distrust(self, now: float) -> None:
        """This node was not running for a while."""
        self.score = min(MOST_UNWELL, self.score + 1)
        self._unwell_since = now

    def has_counted(self, lag: float, now: float) -> bool:
        """Whether a stall of that length, which just ended, was noticed already."""
        return now - self._unwell_since < lag

    def recover(self, now: float) -> bool:
        """Take one off when an interval went by without a stall; return whether it did."""
        if now < self.due:
            return False
        self.score -= 1
        self._unwell_since = now
        return True

    def hear(self, node: str, now: float) -> None:
        """A node answered this one, so messages get there and back."""
        self._heard[node] = now

    def keep(self, nodes: Collection[str]) -> None:
        """Forget the nodes that are none of these."""
        self._heard = {node: at for node, at in self._heard.items() if node in nodes}

    def answering(self, now: float) -> frozenset[str]:
        """Return who answered no longer ago than a crash may take to be detected."""
        return frozenset(
            node for node, at in self._heard.items() if now - at <= self.timing.detection
        )

    def may_accuse(self, seen: Seen, now: float, *, is_refused: bool) -> bool:
        """Whether this node may say that a silent one is gone.

        Not while it is unwell, nor while it may itself be the one that is cut off: unless the
        other one's host refuses connections, which takes a network, or its lease ran out
        although the store was there for a whole lease.
        """
        if self.score or is_refused:
            return not self.score
        recent = now - self.timing.interval - self.timing.timeout
        others = (at for node, at in self._heard.items() if node != seen.record.node)
        if any(at >= recent for at in others):
            return True
        since = self._store_since
        had_time = since is not None and now - since >= self.timing.lease
        return had_time and seen.lease_ends < now

    def store(self, now: float, *, is_up: bool) -> None:
        """The store answered, or did not."""
        if not is_up:
            self._store_since = None
        elif self._store_since is None:
            self._store_since = now

    @property
    def is_store_away(self) -> bool:
        """Whether the store did not answer last, or never did."""
        return self._store_since is None
