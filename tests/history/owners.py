"""A session is served by one node at a time, and a later owner is final: I8."""

from __future__ import annotations

from tests.history.columns import Connection
from tests.history.found import Found
from tests.history.intake import History


def check_owners(history: History, found: Found) -> None:
    """Check, for each session, generations and the intervals in which nodes deliver."""
    sessions: dict[str, list[Connection]] = {}
    for client in history.clients.values():
        for conn in client.conns:
            if conn.event.session:
                sessions.setdefault(conn.event.session, []).append(conn)
    for session, conns in sessions.items():
        found.looked_at["I8"] += len(conns)
        _check_generations(session, conns, found)
        _check_intervals(session, conns, found)


def _check_generations(session: str, conns: list[Connection], found: Found) -> None:
    conns.sort(key=lambda conn: conn.event.t)
    highest = conns[0]
    for conn in conns[1:]:
        if conn.event.gen < highest.event.gen:
            found.add("I8", session, f"generation {conn.event.gen} after {highest.event.gen}",
                      highest.event, conn.event)
        else:
            highest = conn


def _check_intervals(session: str, conns: list[Connection], found: Found) -> None:
    """Of two connections, one has ended delivering before the other begins."""
    delivering = [conn for conn in conns if conn.first is not None and conn.last is not None]
    delivering.sort(key=lambda conn: conn.first.t if conn.first is not None else 0)
    longest: Connection | None = None
    for conn in delivering:
        assert conn.first is not None and conn.last is not None
        if longest is not None and longest.last is not None and longest.last.t > conn.first.t:
            text = f"{_owner(longest)} still delivers after {_owner(conn)} has begun"
            found.add("I8", session, text,
                      longest.event, conn.event, conn.first, longest.last)
        if longest is None or longest.last is None or conn.last.t > longest.last.t:
            longest = conn


def _owner(conn: Connection) -> str:
    return f"{conn.event.node} (generation {conn.event.gen})"


