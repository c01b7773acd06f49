"""How long a process that failed waits before it is started again. Pure."""

from __future__ import annotations

_DOUBLINGS = 32
"""More of them would only overflow; the ceiling is reached long before."""


def wait_after(failures: int, first: float, longest: float, chance: float) -> float:
    """Return the seconds to wait after so many failures in a row, 1 at least.

    Half of the wait is certain, so that a process that fails at once cannot burn a core; the other
    half is drawn, so that processes which failed together do not start together.

    :param first: the wait after one failure; it doubles with each further one.
    :param longest: the ceiling; never below `first`.
    :param chance: 0 to 1.
    """
    bound = min(max(first, longest), first * 2.0 ** min(failures - 1, _DOUBLINGS))
    return bound * (1 + chance) / 2
