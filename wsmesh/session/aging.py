"""Connections that are old are sent away, to be placed anew: `client.max_connection_age`.

The jitter, a tenth to either side, keeps those that came together from going together (gRPC A9).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import trio

from wsmesh.protocol import codes
from wsmesh.session.registry import Registry
from wsmesh.session.sending_away import send_away
from wsmesh.session.services import Services
from wsmesh.session.session import Session

LOOK = 1.0
"""Seconds between looks at how old they are."""

JITTER = 0.1
"""Share of the age by which it differs from one connection to another."""

_WHOLE = 1 << 32


async def send_away_the_old(
    services: Services, registry: Registry[Session], leave_rate: Callable[[], float]
) -> None:
    """Send clients away when they have reached their age, until cancelled.

    :param leave_rate: returns how many go in a second, at most.
    """
    while True:
        await trio.sleep(LOOK)
        age = services.client.max_connection_age
        if not age:
            continue
        left = ceil(leave_rate() * LOOK)
        now = services.now()
        for session in registry:
            if now - session.since < age * (1 - JITTER) or not left:
                break  # those behind it are younger
            if now - session.moved < age:
                continue  # it is on its way
            if now - session.since >= age * _share(session):
                session.moved = now
                is_moving = send_away(session, codes.FORCE_RECONNECT, reason="age")
                services.metrics.count_sent_away("age", is_closed=not is_moving)
                left -= 1


def _share(session: Session) -> float:
    """Return the part of the age that this connection gets: of its own, and always the same."""
    return 1 - JITTER + 2 * JITTER * int(session.client[:8], 16) / _WHOLE
