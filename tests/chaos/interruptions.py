"""How long nothing came: for each fault, the longest silence at each client of its node."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable

from attrs import frozen

from tests.history import events as ev
from tests.history.limits import NANO

AFTERWARDS = 1.0
"""Seconds after a fault in which a silence that it caused may begin."""


@frozen
class Silence:
    """What a fault was to one client.

    :param seconds: from one message to the next, the longest.
    """

    fault: str
    cid: str
    seconds: float


@frozen
class Line:
    """A class of faults: how often, for how many clients, and how long; seconds."""

    fault: str
    times: int
    clients: int
    p50: float
    p99: float
    worst: float


def silences(events: Iterable[ev.Event]) -> list[Silence]:
    """Return what every fault was to the clients that its node had when it began.

    There must be messages all the time: what lies between two of them counts as silence.
    """
    heard: dict[str, list[int]] = defaultdict(list)
    homes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    open_faults: dict[tuple[str, str], ev.Nemesis] = {}
    faults: list[tuple[ev.Nemesis, int]] = []
    for event in sorted(events, key=lambda event: event.t):
        match event:
            case ev.Deliver():
                heard[event.cid].append(event.t)
            case ev.Conn():
                homes[event.cid].append((event.t, event.node))
            case ev.Nemesis(op="start"):
                open_faults[event.fault, event.target] = event
            case ev.Nemesis():
                faults.append((open_faults.pop((event.fault, event.target)), event.t))
    found = []
    for start, healed in faults:
        for cid, times in heard.items():
            if _home(homes[cid], start.t) == start.target:
                until = healed + int(AFTERWARDS * NANO)
                found.append(Silence(start.fault, cid, _longest(times, start.t, until)))
    return found


def _home(homes: list[tuple[int, str]], at: int) -> str:
    before = [node for since, node in homes if since <= at]
    return before[-1] if before else ""


def _longest(times: list[int], start: int, until: int) -> float:
    """Return the longest time between two messages of which the first came in the window."""
    first, last = max(0, bisect_left(times, start) - 1), bisect_right(times, until)
    gaps = [
        later - earlier
        for earlier, later in zip(times[first:last], times[first + 1 : last + 1], strict=False)
    ]
    return max(gaps, default=0) / NANO


def table(found: Iterable[Silence], times: dict[str, int]) -> list[Line]:
    """Return a line for each class of faults.

    :param times: how often each class happened.
    """
    by_fault: dict[str, list[float]] = defaultdict(list)
    for silence in found:
        by_fault[silence.fault].append(silence.seconds)
    return [
        Line(
            fault, count, len(seconds := sorted(by_fault[fault])), _quantile(seconds, 0.5),
            _quantile(seconds, 0.99), max(seconds, default=0.0),
        )
        for fault, count in sorted(times.items())
    ]


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
