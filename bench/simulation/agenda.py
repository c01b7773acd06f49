"""The agenda: what happens when. A heap of pairs of a moment and a number."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from math import inf
from typing import Any


class Agenda:
    """Virtual time, and what is due.

    A number from 0 on says that the session with this number ends; that is most of what happens,
    so it costs no more than the pair. A negative one names an entry of `calls`. At one moment
    calls come first, in the order in which they were made.

    :ivar now: the moment of what is being carried out.
    """

    __slots__ = ("_last", "calls", "heap", "now")

    def __init__(self) -> None:
        self.now = 0.0
        # Never reached, so that the heap is never empty.
        self.heap: list[tuple[float, int]] = [(inf, 0)]
        self.calls: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}
        # Counts up, and never gets to 0.
        self._last = -(1 << 62)

    def later(self, at: float, call: Callable[..., None], *arguments: Any) -> None:
        """Have something carried out at a moment."""
        self._last += 1
        self.calls[self._last] = (call, arguments)
        heappush(self.heap, (at, self._last))
