"""Clients are back in time, hear what they may, and metrics tell the truth: I10, I13, I14."""

from __future__ import annotations

from collections import Counter

from tests.history import events as ev
from tests.history.columns import Segment
from tests.history.found import Found
from tests.history.intake import History
from tests.history.limits import NANO, Limits
from tests.history.stream import Stream

_FIRST_CODE_OF_SERVER = 3000
_SLOW = 3008
_NEVER = 1 << 62


def check_return(stream: Stream, limits: Limits, found: Found) -> None:
    """A client that lost its subscription has it again in time (I10, class A)."""
    for segments in stream.by_client.values():
        for index, segment in enumerate(segments):
            if segment.end is None or segment.end.why != "lost":
                continue
            following = segments[index + 1].sub if index + 1 < len(segments) else None
            _check_one_return(stream, segment, following, limits, found)


def _check_one_return(
    stream: Stream, segment: Segment, following: ev.Sub | None, limits: Limits, found: Found
) -> None:
    end = segment.end
    assert end is not None
    found.looked_at["I10"] += 1
    due = _due(stream.history, end.t, int(limits.return_within * NANO))
    if following is not None:
        back = following.t
    else:
        gone = [event.t for event in segment.client.closes if event.t >= end.t and not event.code]
        watched = stream.history.processes[segment.client.process].last
        back = min(gone, default=watched)  # until then it was not back
    if back > due:
        found.add("I10", stream.name,
                  f"{segment.client.cid} lost its subscription and was not back "
                  f"{(back - end.t) / NANO:.1f} s later", end, following)


def _due(history: History, t: int, within: int) -> int:
    """Return when a client that lost something at `t` must have it again: an outage stops time."""
    due = t + within
    for start, heal in history.fault_windows():
        if start.outage and start.t <= due and (heal is None or t < heal.t):
            due = max(due, _NEVER if heal is None else heal.t + within)
    return due


def check_silent_faults(history: History, limits: Limits, found: Found) -> None:
    """Clients of a node that went silent are subscribed elsewhere in time (I10, class B)."""
    subscribed: dict[str, list[int]] = {}
    for channel in history.channels.values():
        for segment in channel.segments:
            if segment.sub is not None:
                subscribed.setdefault(segment.client.cid, []).append(segment.sub.t)
    for start, heal in history.fault_windows():
        due = start.t + int(limits.silent_within * NANO)
        if not start.silent or (heal is not None and heal.t <= due):
            continue
        for client in history.clients.values():
            before = [conn.event for conn in client.conns if conn.event.t <= start.t]
            over = [event.t for event in client.closes if event.t <= start.t]
            if not before or before[-1].node != start.target:
                continue
            if max(over, default=-1) > before[-1].t:
                continue
            if history.processes[client.process].last < due:
                continue
            found.looked_at["I10"] += 1
            times = subscribed.get(client.cid, [])
            left = any(start.t < event.t <= due and not event.code for event in client.closes)
            if times and not left and not any(start.t < t <= due for t in times):
                found.add("I10", client.cid, f"not subscribed again {limits.silent_within:g} s "
                          f"after {start.target} went silent", before[-1], start)


def check_permission(stream: Stream, limits: Limits, found: Found) -> None:
    """Nobody hears what it may not, later than the bound after the revocation (I13)."""
    bound = int(limits.revocation * NANO)
    by_client: dict[str, list[ev.Allow | ev.Revoke]] = {}
    for change in sorted(stream.channel.allowed, key=lambda change: change.t):
        by_client.setdefault(change.cid, []).append(change)
    for cid, changes in by_client.items():
        found.looked_at["I13"] += len(changes)
        for change in changes:
            if isinstance(change, ev.Revoke):
                granted = (each.t for each in changes if isinstance(each, ev.Allow))
                until = next((t for t in granted if t >= change.t), _NEVER)
                since = 0 if change.never else change.t + bound
                _check_unheard(stream, change, since, until, found)


def _check_unheard(
    stream: Stream, revoke: ev.Revoke, since: int, until: int, found: Found
) -> None:
    for segment in stream.by_client.get(revoke.cid, []):
        for row, at in enumerate(segment.times):
            if since < at < until:
                found.add("I13", stream.name, f"{revoke.cid} heard what it may not",
                          revoke, stream.delivery(segment, row))


def check_conservation(history: History, found: Found) -> None:
    """The nodes' counters cover what the clients saw (I14)."""
    if not history.counters:
        return
    known = [event for event in history.counters if event.delivered >= 0]
    if known and len(known) == len(history.counters):
        found.looked_at["I14"] += history.delivered
        counted = sum(event.delivered for event in known)
        if counted < history.delivered:
            found.add("I14", "delivered", f"the nodes counted {counted} deliveries, the clients "
                      f"{history.delivered}", *known)
    counted_closes: Counter[int] = Counter()
    for event in history.counters:
        counted_closes.update({int(code): count for code, count in event.closes.items()})
    seen: dict[int, list[ev.Close]] = {}
    for client in history.clients.values():
        for close in client.closes:
            if close.code >= _FIRST_CODE_OF_SERVER:
                seen.setdefault(close.code, []).append(close)
    for code, closes in seen.items():
        found.looked_at["I14"] += len(closes)
        if counted_closes[code] < len(closes):
            found.add("I14", f"closes {code}", f"the nodes counted {counted_closes[code]}, the "
                      f"clients {len(closes)}", closes[0], *history.counters)


def count_sometimes(history: History, found: Found) -> None:
    """Count S3 to S6; S1 and S2 are counted where recoveries are checked."""
    found.sometimes["S3"] += len(history.duplicates)
    found.sometimes["S4"] += len(history.fenced)
    for move in history.moves:
        client = history.clients.get(move.cid)
        conns = () if client is None else client.conns
        following = next((conn.event for conn in conns if conn.event.t >= move.t), None)
        found.sometimes["S5"] += following is not None and following.node == move.target
    for client in history.clients.values():
        found.sometimes["S6"] += sum(event.code == _SLOW for event in client.closes)
