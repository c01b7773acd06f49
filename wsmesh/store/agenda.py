"""When to look at which key again; an agenda holds at most one entry per key. Pure."""

from __future__ import annotations

from heapq import heappop, heappush


class Agenda:
    """Keys and the times at which they may have become stale.

    A key that is used again does not move its entry: whoever takes it finds out that it was early
    and notes it anew. So renewing costs nothing, and taking costs O(log n).
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, str]] = []
        self._noted: set[str] = set()

    def __len__(self) -> int:
        return len(self._due)

    def note(self, key: str, due: float) -> None:
        """Ask for `key` at `due`; does nothing when the key has an entry already."""
        if key not in self._noted:
            self._noted.add(key)
            heappush(self._due, (due, key))

    def take(self, now: float) -> str | None:
        """Remove and return a key that is due at `now`, the longest due first; None: none is."""
        if not self._due or self._due[0][0] > now:
            return None
        _, key = heappop(self._due)
        self._noted.remove(key)
        return key
