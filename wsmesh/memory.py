"""Giving memory back to the system after many clients have left.

CPython's own allocator keeps a mebibyte mapped for as long as one object in it lives, so after a
peak a node would stay at its peak. With the C library's allocator, which `python -m wsmesh`
chooses, whole free pages can be given back by `malloc_trim`. See docs/decisions/memory.md.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

import trio

PERIOD = 1.0
"""Seconds between looks at the number of connections."""

QUIET = 4
"""Looks at which nobody has left any more, so that what goes with a client has gone too."""

WORTHWHILE = 500
"""Connections that have to have left for a collection to be worth its pause."""


def give_back() -> None:
    """Collect garbage and return free pages; some 50 ms, so only after many have left."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def give_back_after_departures(
    connections: Callable[[], int], give: Callable[[], None]
) -> None:
    """Call `give` when most clients since the last time have left and no more do, for ever."""
    peak = before = quiet = 0
    while True:
        await trio.sleep(PERIOD)
        now = connections()
        peak = max(peak, now)
        quiet = quiet + 1 if now >= before else 0
        if quiet >= QUIET and peak - now >= WORTHWHILE and 2 * now <= peak:
            give()
            peak = now
        before = now
