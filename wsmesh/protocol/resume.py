"""Continuing a session on another connection: what wsmesh adds to the connect command.

Centrifugo and its SDKs know nothing of it: a client that does not ask gets no such fields, and a
server that does not know them ignores them.
"""

from __future__ import annotations

import msgspec

RESUMING = "x-wsmesh-resume"
"""Field of the request head by which a gateway sees that a client continues a session."""

TICKET = "x-wsmesh-ticket"
"""Field of the request head with the `Reconnect.ticket` that a client was sent away with."""

RETRY_AFTER_MS = "retry-after-ms"
"""Field of a refusal: as `Retry-After`, in milliseconds, and for this client alone."""


class Resume(msgspec.Struct, omit_defaults=True):
    """Asks to continue a session, or, without one, for a session that can be continued."""

    session: str = ""
    secret: str = ""


class Resumption(msgspec.Struct, omit_defaults=True):
    """The session that the client can continue next time, with this secret, once.

    :param resumed: it is the one that was asked for; the client's subscriptions are back, those
        that `subs` of the result names.
    :param window: seconds. After a connection that was lost without a word the client waits a
        random part of this before its first attempt: so long do the other nodes need for all
        clients of this one.
    """

    session: str = ""
    secret: str = ""
    resumed: bool = False
    window: float = 0.0


class Reconnect(msgspec.Struct, omit_defaults=True):
    """A push: what `Resumption.window` is now, and, if `after` is there, that the client must go.

    Only clients that asked for a session get it. One that must go connects elsewhere while this
    connection still works, and closes this one when its subscriptions are there.

    :param after: seconds from now; the node closes the connection some seconds later.
    :param url: where to, empty: where the client connects by itself.
    :param ticket: to be shown there in the field `TICKET`; it says to a gateway which node.
    :param reason: a word for logs.
    """

    window: float = 0.0
    after: float | None = None
    url: str = ""
    ticket: str = ""
    reason: str = ""
