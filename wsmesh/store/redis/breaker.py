"""A circuit breaker: after too many deadlines missed in a short time, fail at once.

Pure: `now` is an argument. Nobody is served while it is open; a probe that is answered closes it.
"""

from __future__ import annotations

from collections import deque

from attrs import define, field


@define
class Breaker:
    """Counts missed deadlines.

    :param threshold: this many misses ...
    :param window: ... within so many seconds open it.
    """

    threshold: int = 5
    window: float = 10.0
    is_open: bool = field(init=False, default=False)
    _misses: deque[float] = field(init=False, factory=deque)

    def miss(self, number: int, *, now: float) -> bool:
        """Count missed deadlines; True when they have just opened it."""
        if self.is_open:
            return False
        # More than `threshold` of one moment say no more than that many.
        self._misses.extend([now] * min(number, self.threshold))
        while self._misses and self._misses[0] <= now - self.window:
            self._misses.popleft()
        if len(self._misses) < self.threshold:
            return False
        self.is_open = True
        self._misses.clear()
        return True

    def close(self) -> None:
        """A probe was answered, or a new connection was made: serve again."""
        self.is_open = False
        self._misses.clear()
