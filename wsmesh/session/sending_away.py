"""Sending clients elsewhere, and telling them how fast they may come back when nobody sends them.

Clients that asked for a session (`wsmesh.protocol.resume`) are told where to go while their
connection still works. The others, official SDKs among them, are closed with a code after which
they come back by themselves within a second: their protocol has no word for more.
"""

from __future__ import annotations

from functools import partial

import trio

from wsmesh.errors import Disconnect
from wsmesh.protocol.messages import Push
from wsmesh.protocol.resume import Reconnect
from wsmesh.session.registry import Registry
from wsmesh.session.services import Services
from wsmesh.session.session import Session

GRACE = 5.0
"""Seconds that a client has for the way to its new node before its connection is closed."""

LOOK = 1.0
"""Seconds between looks at the window."""

MATTERS = 0.25
"""Seconds by which the window must have changed, besides half or double, to be told anew."""

BATCH, PAUSE = 100, 0.05
"""Two thousand clients a second hear of it: it changes just when a node has other things to do."""


def understands(session: Session) -> bool:
    """Whether the client knows what a `reconnect` push is."""
    return session.tenure is not None


def send_away(
    session: Session, why: Disconnect, *, url: str = "", ticket: str = "", reason: str = "",
    must_go: bool = False,
) -> bool:
    """Have a client go elsewhere now; whether it can do so before its connection is closed.

    :param why: what those are closed with who cannot move.
    :param must_go: the others too, after `GRACE`; otherwise they try as long as it takes.
    :param url: where to; empty: where it connects by itself.
    :param ticket: for the gateway.
    :param reason: a word for the client's logs.
    """
    if session.is_over:
        return False
    if not understands(session):
        session.end(why)
        return False
    session.push(
        Push(reconnect=Reconnect(after=0.0, url=url, ticket=ticket, reason=reason))
    )
    if must_go:
        session.services.timers.after(GRACE, partial(_hurry, session, why))
    return True


def _hurry(session: Session, why: Disconnect) -> None:
    if not session.is_over:
        session.end(why)


async def keep_window_told(services: Services, registry: Registry[Session]) -> None:
    """Tell clients when the time changes that all of them need to come back, until cancelled."""
    told = services.return_window()
    while True:
        await trio.sleep(LOOK)
        window = services.return_window()
        if abs(window - told) < MATTERS or told / 2 < window < told * 2:
            continue
        told = window
        for number, session in enumerate(list(registry)):
            if not session.is_over and understands(session):
                session.push(Push(reconnect=Reconnect(window=window)))
            if number % BATCH == BATCH - 1:
                await trio.sleep(PAUSE)
