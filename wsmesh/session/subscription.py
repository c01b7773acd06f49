"""One client's subscription to one channel."""

from __future__ import annotations

from attrs import frozen

from wsmesh.channels.namespaces import ChannelKind
from wsmesh.protocol.messages import ClientInfo
from wsmesh.security.claims import NO_OVERRIDE, Override
from wsmesh.timers import Timer


@frozen(kw_only=True)
class Grant:
    """What a subscription was allowed to be.

    :param expire_at: Unix time, 0 never.
    :param is_by_token: a token allowed it, whatever the channel's rules say.
    """

    info: bytes | None = None
    data: bytes | None = None
    expire_at: float = 0.0
    override: Override = NO_OVERRIDE
    is_by_token: bool = False


class Subscription:
    """What a client has in a channel.

    :param is_server_side: the server created it; the client does not ask for it again itself.
    :param expire_at: Unix time at which it must be refreshed.
    :param info: how the client appears in the channel.
    :ivar grant: of a token, when the session can be continued elsewhere; nobody else asks.
    """

    __slots__ = (
        "expire_at", "expiry", "grant", "has_joined", "has_presence", "info", "is_live",
        "is_positioned", "is_recoverable", "is_server_side", "joins_and_leaves", "kind",
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
        self.grant: Grant | None = None
