"""How long a condemned node waits before it begins its next life. Pure."""

from __future__ import annotations

from collections.abc import Callable

FIRST, CEILING = 0.5, 30.0
"""Seconds, bounds of the waits."""

HELD_AFTER = 60.0
"""Seconds after which a life counts as one that held."""


class Rejoining:
    """Waits with full jitter, whose bound doubles with each life that did not hold.

    A node that peers cannot hear is condemned again and again, and takes its clients along.

    :param uniform: draws a number between two others.
    """

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._failures = 0

    def wait_after(self, lived: float) -> float:
        """Return the seconds to wait after a life of so many seconds."""
        if lived > HELD_AFTER:
            self._failures = 0
        bound = min(CEILING, FIRST * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return self._uniform(0.0, bound)
