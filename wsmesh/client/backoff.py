"""How long to wait before the next attempt; pure arithmetic."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen
from attrs.validators import gt

#: Draws a number between its two arguments, e.g. `random.Random(7).uniform`.
Uniform = Callable[[float, float], float]

_MOST_DOUBLINGS = 30


@frozen(kw_only=True)
class Backoff:
    """Exponential backoff with full jitter above a floor.

    Attempt `n` waits a time drawn evenly from `minimum` to `min(maximum, minimum * 2 ** (n + 1))`:
    clients that lost one server together come back spread over the whole window.

    :param minimum: the floor, seconds.
    :param maximum: the ceiling of the window, seconds.
    """

    minimum: float = field(default=0.5, validator=gt(0))
    maximum: float = field(default=20.0, validator=gt(0))

    def __attrs_post_init__(self) -> None:
        if self.maximum < self.minimum:
            raise ValueError(f"maximum must be at least minimum ({self.minimum}): {self.maximum}")

    def delay(self, attempt: int, uniform: Uniform, *, at_least: float = 0.0) -> float:
        """Return the seconds to wait before attempt `attempt` (counted from 0).

        :param at_least: what the server asked for (`Retry-After`); the jitter comes on top of it,
            so that clients which were told the same number do not come back at the same moment.
        """
        ceiling = min(self.maximum, self.minimum * 2.0 ** (min(attempt, _MOST_DOUBLINGS) + 1))
        if at_least > 0:
            return at_least + uniform(0.0, ceiling - self.minimum)
        return uniform(self.minimum, ceiling)
