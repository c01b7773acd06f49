"""Cuts a history that breaks a promise down to the fewest events that still break it.

Delta debugging (Zeller and Hildebrandt, 2002) over what belongs together: a client with all it
saw, a message with its deliveries, a fault with its end. Nothing is reordered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.history import events as ev
from tests.history.check import check_events
from tests.history.found import Verdict, Violation
from tests.history.limits import Limits

Logs = Mapping[str, Sequence[ev.Event]]
Unit = tuple[str, str]


def shrunk(
    logs: Logs, verdict: Verdict, limits: Limits, goes_on: Callable[[], bool] = lambda: True
) -> Logs:
    """Return a part of the logs that shows the first violation that the whole shows.

    :param goes_on: asked before every step; when it says no, the best so far is returned.
    """
    broken = verdict.violations[0]

    def fails(candidate: Logs) -> bool:
        found = check_events(candidate, limits)
        return _key(broken) in map(_key, found.violations)

    channel = _only({"ch": broken.where}, logs)
    best = channel if fails(channel) else logs
    units = sorted({unit for events in best.values() for event in events if (unit := _unit(event))})
    size = max(1, len(units) // 2)
    while size and goes_on():
        for start in range(0, len(units), size):
            if not goes_on():
                break
            kept = units[:start] + units[start + size :]
            candidate = _of_units(best, set(kept))
            if fails(candidate):
                units, best = kept, candidate
                break
        else:
            size //= 2
    return best


def _key(violation: Violation) -> tuple[object, ...]:
    # Without a message there is a gap that was not there: only this very violation counts.
    return violation.invariant, violation.where, *(event.t for event in violation.events)


def _unit(event: ev.Event) -> Unit | None:
    """Return what an event belongs to; None: the frame, which is always kept."""
    match event:
        case ev.PubInvoke() | ev.PubOk() | ev.PubFail() | ev.PubInfo() | ev.Stored():
            return "message", event.mid
        case ev.Deliver():
            return "message", event.mid
        case ev.Sub() | ev.EndSeg() | ev.Conn() | ev.Close() | ev.WireDup() | ev.Move():
            return "client", event.cid
        case ev.Nemesis():
            return "fault", f"{event.fault} {event.target}"
    return None


def _of_units(logs: Logs, kept: set[Unit]) -> Logs:
    def stays(event: ev.Event) -> bool:
        unit = _unit(event)
        if isinstance(event, ev.Deliver) and ("client", event.cid) not in kept:
            return False
        return unit is None or unit in kept

    return {name: [event for event in events if stays(event)] for name, events in logs.items()}


def _only(wanted: Mapping[str, str], logs: Logs) -> Logs:
    return {
        name: [
            event for event in events
            if all(getattr(event, field, value) == value for field, value in wanted.items())
        ]
        for name, events in logs.items()
    }
