"""The schedule: which bounds hold at a moment of the week. Unix time is an argument."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wsmesh.config.scaling import DAYS, ENTRY

DAY, WEEK = 86_400, 7 * 86_400

_EPOCH_DAY = 3
"""1970-01-01 was a Thursday."""


def bounds_at(
    entries: Sequence[str], unix: float, otherwise: tuple[int, int]
) -> tuple[int, int]:
    """Return the least and the most nodes that hold at a time.

    An entry holds from its time on the days that it names until the next one of any entry.

    :param otherwise: without entries, and for a most that an entry does not say.
    """
    begins = sorted(begin for entry in entries for begin in _begins(entry, otherwise[1]))
    if not begins:
        return otherwise
    now = (unix + _EPOCH_DAY * DAY) % WEEK
    past = [begin for begin in begins if begin[0] <= now]
    _, least, most = (past or begins)[-1]
    return least, most


def _begins(entry: str, most_otherwise: int) -> Iterator[tuple[int, int, int]]:
    """Yield second of the week, least and most for each day of an entry."""
    found = ENTRY.fullmatch(entry)
    assert found is not None, "checked with the configuration"
    first = DAYS.index(found[1])
    last = DAYS.index(found[2] or found[1])
    least = int(found[5])
    most = int(found[6]) if found[6] else max(least, most_otherwise)
    for offset in range((last - first) % 7 + 1):
        day = (first + offset) % 7
        yield day * DAY + int(found[3]) * 3600 + int(found[4]) * 60, least, most
