"""What a user of the client sees: publications, presence, and what became of a subscription."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import msgspec
from attrs import evolve, field, frozen

from wsmesh.client.codec import from_raw
from wsmesh.protocol import messages
from wsmesh.protocol.messages import StreamPosition


def parsed(raw: bytes) -> Any:
    """Return what embedded JSON holds, None when there is none."""
    return msgspec.json.decode(raw) if raw else None


@frozen(kw_only=True)
class ClientInfo:
    """A client in a channel; `conn_info` and `chan_info` are parsed JSON or None."""

    user: str = ""
    client: str = ""
    conn_info: Any = None
    chan_info: Any = None

    @classmethod
    def of(cls, info: messages.ClientInfo) -> ClientInfo:
        """Translate the wire form."""
        return cls(
            user=info.user,
            client=info.client,
            conn_info=parsed(from_raw(info.conn_info)),
            chan_info=parsed(from_raw(info.chan_info)),
        )


@frozen(kw_only=True)
class Publication:
    """One message of a channel.

    :param raw: the payload as it was on the wire: JSON.
    :param offset: place in the channel's stream, 0 in channels without history.
    :param info: who published, when it was a client.
    :param time: milliseconds since the epoch, 0 when the server did not say.
    """

    channel: str
    raw: bytes
    offset: int = 0
    info: ClientInfo | None = None
    tags: Mapping[str, str] = field(factory=dict)
    time: int = 0

    @cached_property
    def data(self) -> Any:
        """The payload, parsed."""
        return parsed(self.raw)

    @classmethod
    def of(cls, channel: str, publication: messages.Publication) -> Publication:
        """Translate the wire form."""
        return cls(
            channel=channel,
            raw=bytes(publication.data),
            offset=publication.offset,
            info=None if publication.info is None else ClientInfo.of(publication.info),
            tags=publication.tags or {},
            time=publication.time,
        )


@frozen(kw_only=True)
class Subscribed:
    """The subscription works (again), and whether it continues where it was.

    :param was_recovering: the client asked to continue from a position.
    :param recovered: it continues exactly there, nothing was missed.
    :param position: the stream's top at that moment, None in channels without positions.
    :param is_first: the first time this subscription came to work.
    :param data: what the server attached, parsed JSON or None.
    """

    channel: str
    was_recovering: bool = False
    recovered: bool = False
    is_first: bool = True
    position: StreamPosition | None = None
    data: Any = None

    @property
    def is_gap(self) -> bool:
        """Publications may have been missed: reload the state from where it is kept."""
        return not self.recovered and (self.was_recovering or not self.is_first)

    def after(self, unread: Subscribed) -> Subscribed:
        """Merge with an earlier event that nobody read, so that no gap is forgotten."""
        if not unread.is_gap or self.is_gap:
            return evolve(self, is_first=unread.is_first and not self.is_gap)
        return evolve(self, was_recovering=True, recovered=False)


@frozen(kw_only=True)
class Unsubscribed:
    """The subscription is over; nothing follows in its iterators.

    :param code: an unsubscribe code (2000-2499), or the error code of a refused subscribe.
    """

    channel: str
    code: int
    reason: str


@frozen(kw_only=True)
class Joined:
    """Somebody subscribed to the channel."""

    channel: str
    info: ClientInfo


@frozen(kw_only=True)
class Left:
    """Somebody left the channel."""

    channel: str
    info: ClientInfo


@frozen(kw_only=True)
class Dropped:
    """The reader was too slow: `count` events before the next one were thrown away."""

    count: int


#: What `Subscription.events()` yields, in the order in which it happened.
SubscriptionEvent = Publication | Subscribed | Unsubscribed | Joined | Left


def merged(unread: SubscriptionEvent, new: SubscriptionEvent) -> SubscriptionEvent | None:
    """Merge two outcomes of subscribing in a row, so that a busy reader's events stay bounded."""
    if not isinstance(unread, Subscribed) or not isinstance(new, Subscribed):
        return None
    return new.after(unread) if unread.channel == new.channel else None


@frozen(kw_only=True)
class Connecting:
    """No connection; the next attempt starts in `delay` seconds."""

    code: int
    reason: str
    delay: float


@frozen(kw_only=True)
class Connected:
    """A connection works; `moved` when it replaced one that still worked."""

    client: str
    url: str
    moved: bool = False


@frozen(kw_only=True)
class TokenUnavailable:
    """A token callback failed or took too long; it is asked again later."""

    channel: str
    fault: BaseException | None


#: What the `observe` callback of `open_client` receives.
ClientEvent = Connecting | Connected | TokenUnavailable


@frozen(kw_only=True)
class History:
    """A read of a channel's stream: publications and the stream's top."""

    publications: tuple[Publication, ...]
    position: StreamPosition


@frozen(kw_only=True)
class PresenceStats:
    """How many clients and distinct users are in a channel."""

    clients: int
    users: int
