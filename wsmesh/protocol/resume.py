"""Continuing a session on another connection: what wsmesh adds to the connect command.

Centrifugo and its SDKs know nothing of it: a client that does not ask gets no such fields, and a
server that does not know them ignores them.
"""

from __future__ import annotations

import msgspec

RESUMING = "x-wsmesh-resume"
"""Field of the request head by which a gateway sees that a client continues a session."""


class Resume(msgspec.Struct, omit_defaults=True):
    """Asks to continue a session, or, without one, for a session that can be continued."""

    session: str = ""
    secret: str = ""


class Resumption(msgspec.Struct, omit_defaults=True):
    """The session that the client can continue next time, with this secret, once.

    :param resumed: it is the one that was asked for; the client's subscriptions are back, those
        that `subs` of the result names.
    """

    session: str = ""
    secret: str = ""
    resumed: bool = False
