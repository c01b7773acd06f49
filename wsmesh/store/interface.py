"""What every store promises; `tests/contracts/store.py` holds each implementation to it.

A store keeps each channel's stream (epoch, offset, retained publications), presence, and the
results of idempotent publishes, and hands every publication to the nodes that subscribed to its
channel: in one order per channel, the order of the offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
from attrs import field, frozen

from wsmesh.protocol.messages import ClientInfo, Publication


class Position(msgspec.Struct, frozen=True):
    """A place in a channel's stream: `offset` counts from 1, 0 is before the first publication."""

    epoch: str = ""
    offset: int = 0


@frozen(slots=True, kw_only=True)
class Retention:
    """How much of a channel the store keeps.

    :param size: publications, 0 keeps none and gives no offsets.
    :param ttl: seconds a stream is kept after its last publication.
    :param meta_ttl: seconds epoch and top offset are kept after the last publication.
    """

    size: int = 0
    ttl: float = 0.0
    meta_ttl: float = 2_592_000.0

    @property
    def keeps_history(self) -> bool:
        """Whether publications get offsets and can be recovered."""
        return self.size > 0 and self.ttl > 0


@frozen(slots=True, kw_only=True)
class PublishOptions:
    """How one publication is stored.

    :param retention: of the channel.
    :param idempotency_key: equal keys within 5 minutes, per channel, are one publication.
    :param skip_history: fan out without storing (and without an offset).
    :param version: when > 0 and history is on, publications whose version is not above the last
        seen one (of the same `version_epoch`) are dropped.
    :param version_epoch: a change of it restarts the comparison of versions.
    :param durability: what to wait for when history is on: `memory` (the store has it),
        `replicated` (its replicas have it too) or `fsync` (its disk has it).
    """

    retention: Retention = field(factory=Retention)
    idempotency_key: str = ""
    skip_history: bool = False
    version: int = 0
    version_epoch: str = ""
    durability: str = "memory"


class Published(msgspec.Struct, frozen=True):
    """Outcome of a publish.

    :param position: of the publication, offset 0 without history.
    :param suppressed: it was a duplicate (idempotency key, version) and was not fanned out again.
    :param durability: what was achieved, which may be less than what was asked for.
    """

    position: Position
    suppressed: bool = False
    durability: str = "memory"


@frozen(slots=True)
class Stream:
    """A read of a channel's stream: its top and the publications that were asked for, in order."""

    top: Position
    publications: tuple[Publication, ...] = ()


@frozen(slots=True)
class Recovery:
    """Outcome of a recovery.

    :param recovered: `publications` are exactly what follows the client's position, none missing.
    """

    recovered: bool
    top: Position
    publications: tuple[Publication, ...] = ()


class UnrecoverablePosition(Exception):
    """A history read named a position that the stream does not hold (wrong epoch or trimmed)."""


#: Takes a published message for local delivery: (channel, publication, position, is_join_leave).
Deliver = Callable[[str, Publication, Position], None]
#: Takes a join (True) or leave (False) event for local delivery.
DeliverPresenceEvent = Callable[[str, ClientInfo, bool], None]
#: Takes a channel of which publications were missed that cannot be read again: who must not miss
#: any has to start over.
Gap = Callable[[str], None]
#: Receives the outcome of a publish: a result, or the error that prevented it.
Settle = Callable[["Published | Exception"], None]


class Store(Protocol):
    """Streams, presence and delivery between nodes.

    Async methods are checkpoints and raise `wsmesh.errors.StoreUnavailable` when the store cannot
    be reached. A cancelled call leaves the store as if it had happened or not, never in between.
    """

    def listen(
        self, deliver: Deliver, presence_event: DeliverPresenceEvent, gap: Gap
    ) -> None:
        """Name the functions that receive what is published. Called once, before anything else.

        What is delivered of a channel with history is contiguous, unless `gap` was called between.
        """

    def publish_nowait(
        self, channel: str, publication: Publication, options: PublishOptions, settle: Settle
    ) -> None:
        """Append to the channel's stream and fan out, without waiting.

        `settle` is called exactly once, with a `Published` or an exception, perhaps before this
        returns. Publications of one caller to one channel are stored in the order of the calls.
        The stored publication carries the offset it was given.
        """

    async def publish(
        self, channel: str, publication: Publication, options: PublishOptions
    ) -> Published:
        """Append to the channel's stream and fan out; returns when it is stored."""

    async def subscribe(self, channel: str) -> None:
        """Start delivering the channel to this node. Idempotent."""

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering the channel to this node. Idempotent."""

    async def top(self, channel: str, retention: Retention) -> Position:
        """Return the stream's top, creating its epoch when it has none."""

    async def recover(
        self, channel: str, since: Position, retention: Retention, limit: int
    ) -> Recovery:
        """Return what follows `since`, all of it or, when that cannot be proved, nothing.

        Recovered means: the epoch is the same (or `since.epoch` is empty and offset is 0 and
        nothing was trimmed), the first retained publication is at most `since.offset + 1`, the
        last is the top, and there are at most `limit` of them.
        """

    async def history(
        self,
        channel: str,
        retention: Retention,
        *,
        limit: int,
        since: Position | None = None,
        reverse: bool = False,
    ) -> Stream:
        """Read the stream: `limit` 0 gives the top only, -1 everything.

        With `since`, publications after it (`reverse`: before it, latest first).

        :raises UnrecoverablePosition: `since` is of another epoch.
        """

    async def remove_history(self, channel: str) -> None:
        """Forget the publications; epoch and top stay."""

    async def add_presence(self, channel: str, client: str, info: ClientInfo, ttl: float) -> None:
        """Record (or renew) that a client is in a channel, for `ttl` seconds."""

    async def remove_presence(self, channel: str, client: str) -> None:
        """Record that a client left a channel."""

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return client id -> info of everybody in the channel."""

    async def announce(self, channel: str, info: ClientInfo, joined: bool) -> None:
        """Fan out a join or leave event, at most once, without storing it."""

    async def check(self) -> None:
        """Raise `wsmesh.errors.StoreUnavailable` when the store does not work."""
