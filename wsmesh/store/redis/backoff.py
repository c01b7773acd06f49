"""How long to wait before connecting again: full jitter, growing to a ceiling."""

from __future__ import annotations

import random

from attrs import define, field


@define
class Backoff:
    """Waits drawn from 0 to a bound that doubles with each failure.

    The first wait is short, so that one lost connection is hardly felt; the jitter keeps the
    nodes of a cluster from coming back in step.

    :param rng: draws the waits.
    :param first: seconds, bound of the first wait.
    :param ceiling: seconds, the largest bound.
    """

    rng: random.Random
    first: float = 0.05
    ceiling: float = 1.0
    _failures: int = field(init=False, default=0)

    def next(self) -> float:
        """Return the seconds to wait before the next attempt."""
        bound = min(self.ceiling, self.first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return self.rng.uniform(0.0, bound)

    def reset(self) -> None:
        """The connection held for a while: begin again with short waits."""
        self._failures = 0
