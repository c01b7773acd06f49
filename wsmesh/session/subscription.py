"""One client's subscription to one channel."""

from __future__ import annotations

from wsmesh.channels.namespaces import ChannelKind
from wsmesh.protocol.messages import ClientInfo
from wsmesh.timers import Timer


class Subscription:
    """What a client has in a channel.

    :param is_server_side: the server created it; the client does not ask for it again itself.
    :param expire_at: Unix time at which it must be refreshed.
    :param info: how the client appears in the channel.
    """

    __slots__ = (
        "expire_at", "expiry", "has_joined", "has_presence", "info", "is_live", "is_positioned",
        "is_recoverable", "is_server_side", "joins_and_leaves", "kind",
    )

    def __init__(self, kind: ChannelKind, info: ClientInfo, *, is_server_side: bool) -> None:
        self.kind = kind
        self.info = info
        self.is_server_side = is_server_side
        self.is_live = False
        self.is_positioned = False
        self.is_recoverable = False
        self.has_presence = False
        self.has_joined = False
        self.joins_and_leaves = False
        self.expire_at = 0.0
        self.expiry: Timer | None = None
