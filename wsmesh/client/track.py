"""One subscription's place in its stream: what to ask, what to accept, what to drop; pure.

A track outlives connections. `feed` names the conversation whose pushes count: a subscribe reply
hands the track over to its conversation, so that while a client moves, the old connection serves
until the new one has caught up, and never both. A track that cannot store more publications pauses:
it leaves its channel and subscribes again, recovering, when the reader has made room.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field, frozen
from msgspec import UNSET, Raw, UnsetType

from wsmesh.client.codec import from_raw
from wsmesh.client.events import (
    ClientInfo,
    Joined,
    Left,
    Publication,
    Subscribed,
    SubscriptionEvent,
    Unsubscribed,
    parsed,
)
from wsmesh.protocol import messages
from wsmesh.protocol.messages import StreamPosition, SubscribeRequest, SubscribeResult


@frozen(kw_only=True)
class Wishes:
    """What the user asks of a subscription; the server may grant more or less.

    :param capacity: what is held for a slow reader before the track pauses, None: no limit.
    """

    recoverable: bool = False
    positioned: bool = False
    join_leave: bool = False
    data: Raw | UnsetType = UNSET
    capacity: int | None = None


@define(eq=False, kw_only=True)
class Track:
    """State of one subscription.

    :param position: everything up to here was delivered; None until the server gave one.
    :param may_recover: the position is one that the server can continue from.
    :param held: publications, joins and leaves that the reader has not taken yet.
    :param is_over: ended by the server or the user; never subscribed again.
    :param forced: how often the server asked to subscribe again since the last publication.
    """

    channel: str
    wishes: Wishes = field(factory=Wishes)
    position: StreamPosition | None = None
    may_recover: bool = True
    feed: object | None = None
    held: int = 0
    is_paused: bool = False
    is_over: bool = False
    forced: int = 0
    _was_subscribed: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether a connection should subscribe it."""
        return not self.is_over and not self.is_paused

    @property
    def _is_full(self) -> bool:
        return self.wishes.capacity is not None and self.held >= self.wishes.capacity

    def request(self, token: str = "") -> SubscribeRequest:
        """Return the subscribe request for the place where the track is now."""
        request = SubscribeRequest(
            channel=self.channel,
            token=token,
            data=self.wishes.data,
            positioned=self.wishes.positioned,
            recoverable=self.wishes.recoverable,
            join_leave=self.wishes.join_leave,
        )
        if self.position is not None and self.may_recover:
            request.recover = True
            request.epoch = self.position.epoch
            request.offset = self.position.offset
        return request

    def subscribed(self, result: SubscribeResult, feed: object) -> list[SubscriptionEvent]:
        """Take over a subscribe reply: the outcome, then the recovered publications in order."""
        floor = self._floor(result)
        self.feed = feed
        self.may_recover = result.recoverable or result.was_recovering
        self.position = self._position_after(result, floor)
        top = StreamPosition(offset=result.offset, epoch=result.epoch)
        outcome = Subscribed(
            channel=self.channel,
            was_recovering=result.was_recovering,
            recovered=result.recovered,
            is_first=not self._was_subscribed,
            position=None if self.position is None else top,
            data=parsed(from_raw(result.data)),
        )
        self._was_subscribed = True
        events: list[SubscriptionEvent] = [outcome]
        events += self._accept_all(result.publications or ())
        if self.position is not None and not self.is_paused:
            self.position.offset = max(self.position.offset, result.offset)
        return events

    def _floor(self, result: SubscribeResult) -> int:
        """Return the offset up to which everything was delivered already, 0 after a gap."""
        known = self.position
        if known is None or known.epoch not in ("", result.epoch):
            return 0
        return 0 if result.was_recovering and not result.recovered else known.offset

    def _position_after(self, result: SubscribeResult, floor: int) -> StreamPosition | None:
        if not (result.recoverable or result.positioned or result.was_recovering):
            return None
        publications = result.publications or ()
        if not publications:
            return StreamPosition(offset=max(result.offset, floor), epoch=result.epoch)
        return StreamPosition(offset=floor, epoch=result.epoch)

    def _accept_all(self, publications: Iterable[messages.Publication]) -> list[SubscriptionEvent]:
        events: list[SubscriptionEvent] = []
        for publication in publications:
            if self.is_paused:
                break
            events += self.published(publication)
        return events

    def published(self, publication: messages.Publication) -> list[SubscriptionEvent]:
        """Accept a publication: itself, or nothing when it is known already or there is no room."""
        at = self.position
        if at is not None and 0 < publication.offset <= at.offset:
            return []
        if self._is_full:
            self.is_paused = True
            self.feed = None
            return []
        if at is not None and publication.offset > 0:
            at.offset = publication.offset
        self.held += 1
        self.forced = 0
        return [Publication.of(self.channel, publication)]

    def took_one(self) -> bool:
        """Note that the reader took one of what it holds; True when a paused track should go on."""
        self.held -= 1
        capacity = self.wishes.capacity
        if not self.is_paused or capacity is None or self.held > capacity // 2:
            return False
        self.is_paused = False
        return not self.is_over

    def joined(self, info: messages.ClientInfo) -> list[SubscriptionEvent]:
        """Accept a join event; they are not stored anywhere, so a full track drops them."""
        return self._noticed(Joined(channel=self.channel, info=ClientInfo.of(info)))

    def left(self, info: messages.ClientInfo) -> list[SubscriptionEvent]:
        """Accept a leave event; as `joined`."""
        return self._noticed(Left(channel=self.channel, info=ClientInfo.of(info)))

    def _noticed(self, event: Joined | Left) -> list[SubscriptionEvent]:
        if self._is_full:
            return []
        self.held += 1
        return [event]

    def over(self, code: int, reason: str) -> list[SubscriptionEvent]:
        """End the subscription for good."""
        if self.is_over:
            return []
        self.is_over = True
        self.feed = None
        return [Unsubscribed(channel=self.channel, code=code, reason=reason)]

    def detach(self, feed: object) -> None:
        """Forget a conversation that ended; the position stays."""
        if self.feed is feed:
            self.feed = None
