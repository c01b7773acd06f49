"""Outcomes of publishes that named an idempotency key, remembered for a while. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from wsmesh.store.interface import Published

WINDOW = 300.0
"""Seconds within which equal keys are one publication (Centrifugo's default)."""

CAPACITY = 100_000
"""Outcomes remembered at most; past it the oldest are forgotten early. About 40 MB."""


class Outcomes:
    """(channel, idempotency key) -> outcome; oldest first, which is also the order of expiry."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._known: dict[tuple[str, str], tuple[float, Published]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, channel: str, key: str, now: float) -> Published | None:
        """Return what to answer a repetition, None when it is none (any more)."""
        known = self._known.get((channel, key))
        return known[1] if known is not None and now < known[0] else None

    def remember(self, channel: str, key: str, outcome: Published, now: float) -> None:
        """Answer repetitions with this outcome for `WINDOW` seconds."""
        # Removed first, so that an expired entry does not keep its place in the order.
        self._known.pop((channel, key), None)
        self._known[channel, key] = (now + WINDOW, replace(outcome, suppressed=True))
        if len(self._known) > self._capacity:
            del self._known[next(iter(self._known))]

    def sweep(self, now: float, limit: int) -> int:
        """Forget up to `limit` expired outcomes; return how many it were."""
        swept = 0
        while swept < limit and self._known:
            oldest = next(iter(self._known))
            if now < self._known[oldest][0]:
                break
            del self._known[oldest]
            swept += 1
        return swept
