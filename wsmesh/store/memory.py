"""The store of a node that stands alone: everything in this process, gone with it.

`publish_nowait` is a hot path, measured by `python -m bench memory_store`: no call that it can do
without, and attributes of the stream are written here instead of through methods.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from string import ascii_letters

import trio
from attrs import frozen
from msgspec.structs import replace

from wsmesh.protocol.messages import ClientInfo, Publication
from wsmesh.store.agenda import Agenda
from wsmesh.store.attendance import Attendance
from wsmesh.store.interface import (
    Deliver,
    DeliverPresenceEvent,
    Gap,
    Position,
    Published,
    PublishOptions,
    Recovery,
    Retention,
    Settle,
    Stream,
)
from wsmesh.store.outcomes import Outcomes
from wsmesh.store.stream import MemoryStream

SWEEP_PERIOD = 1.0
"""Seconds between sweeps; what has expired is invisible at once, this only frees its memory."""

SWEEP_LIMIT = 1_000
"""Entries of each kind that one sweep handles without a checkpoint: 1 to 2 ms."""

_UNPOSITIONED = Position()
_FANNED_OUT = Published(_UNPOSITIONED)


@frozen(slots=True)
class MemoryStatistics:
    """How much is held: numbers of streams, remembered outcomes, channels with presence."""

    streams: int
    outcomes: int
    attended: int


class MemoryStore:
    """Implements `wsmesh.store.interface.Store` for one node.

    What a publication refers to (data, info, tags) is shared with the caller and must not change.
    The functions given to `listen` must not publish; when one of them, or `settle`, raises, the
    publication is stored and settled all the same and the exception reaches the publisher.

    :param clock: seconds, monotonic.
    :param rng: makes the epochs; the system's source by default.
    """

    def __init__(
        self,
        clock: Callable[[], float] = trio.current_time,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._rng = rng if rng is not None else random.SystemRandom()
        self._streams: dict[str, MemoryStream] = {}
        self._expiring = Agenda()
        self._forgetting = Agenda()
        self._outcomes = Outcomes()
        self._attendance = Attendance()
        self._subscribed: set[str] = set()
        self._deliver: Deliver = _drop_publication
        self._presence_event: DeliverPresenceEvent = _drop_event

    def listen(
        self, deliver: Deliver, presence_event: DeliverPresenceEvent, gap: Gap
    ) -> None:
        """Name the functions that receive what is published; memory misses nothing."""
        self._deliver = deliver
        self._presence_event = presence_event

    def publish_nowait(
        self, channel: str, publication: Publication, options: PublishOptions, settle: Settle
    ) -> None:
        """Store, deliver to this node if it subscribed, then settle; all before it returns."""
        key = options.idempotency_key
        if key:
            known = self._outcomes.find(channel, key, self._clock())
            if known is not None:
                settle(known)
                return
        retention = options.retention
        size = retention.size
        if size > 0 and retention.ttl > 0 and not options.skip_history:
            now = self._clock()
            stream = self._streams.get(channel)
            if stream is None or now >= stream.forget_at:
                stream = self._begin(channel, retention, now)
            elif options.version and stream.has_seen(options):
                settle(Published(Position(stream.epoch, stream.top), True))
                return
            kept = stream.publications
            if now >= stream.expire_at and kept:
                kept.clear()
            if kept.maxlen != size:
                kept = stream.resize(size)
                self._expiring.note(channel, now + retention.ttl)
            stream.top = offset = stream.top + 1
            stored = replace(publication, offset=offset)
            kept.append(stored)
            ttl, meta_ttl = retention.ttl, retention.meta_ttl
            stream.expire_at = now + ttl
            stream.forget_at = now + (meta_ttl if meta_ttl > ttl else ttl)
            if options.version:
                stream.version = options.version
                stream.version_epoch = options.version_epoch
            position = Position(stream.epoch, offset)
            outcome = Published(position)
        else:
            stored = replace(publication, offset=0) if publication.offset else publication
            position = _UNPOSITIONED
            outcome = _FANNED_OUT
        if key:
            self._outcomes.remember(channel, key, outcome, self._clock())
        try:
            if channel in self._subscribed:
                self._deliver(channel, stored, position)
        finally:
            settle(outcome)

    async def publish(
        self, channel: str, publication: Publication, options: PublishOptions
    ) -> Published:
        """Store and deliver."""
        await trio.lowlevel.checkpoint()
        outcomes: list[Published | Exception] = []
        self.publish_nowait(channel, publication, options, outcomes.append)
        outcome = outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def subscribe(self, channel: str) -> None:
        """Start delivering the channel to this node."""
        await trio.lowlevel.checkpoint()
        self._subscribed.add(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering the channel to this node."""
        await trio.lowlevel.checkpoint()
        self._subscribed.discard(channel)

    async def top(self, channel: str, retention: Retention) -> Position:
        """Return the stream's top; the stream begins now when there is none."""
        await trio.lowlevel.checkpoint()
        stream = self._read(channel, retention)
        return Position(stream.epoch, stream.top)

    async def recover(
        self, channel: str, since: Position, retention: Retention, limit: int
    ) -> Recovery:
        """Return all of what follows `since`, or nothing."""
        await trio.lowlevel.checkpoint()
        return self._read(channel, retention).recover(since, limit)

    async def history(
        self,
        channel: str,
        retention: Retention,
        *,
        limit: int,
        since: Position | None = None,
        reverse: bool = False,
    ) -> Stream:
        """Read the stream.

        :raises UnrecoverablePosition: `since` is of another epoch.
        """
        await trio.lowlevel.checkpoint()
        return self._read(channel, retention).read(limit, since, reverse)

    async def remove_history(self, channel: str) -> None:
        """Forget the publications; epoch and top stay."""
        await trio.lowlevel.checkpoint()
        stream = self._streams.get(channel)
        if stream is not None:
            stream.clear()

    async def add_presence(self, channel: str, client: str, info: ClientInfo, ttl: float) -> None:
        """Record (or renew) that a client is in a channel, for `ttl` seconds."""
        await trio.lowlevel.checkpoint()
        self._attendance.add(channel, client, info, self._clock() + ttl)

    async def remove_presence(self, channel: str, client: str) -> None:
        """Record that a client left a channel."""
        await trio.lowlevel.checkpoint()
        self._attendance.remove(channel, client)

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return client id -> info of everybody in the channel."""
        await trio.lowlevel.checkpoint()
        return self._attendance.of(channel, self._clock())

    async def announce(self, channel: str, info: ClientInfo, joined: bool) -> None:
        """Hand a join or leave event to this node if it subscribed."""
        await trio.lowlevel.checkpoint()
        if channel in self._subscribed:
            self._presence_event(channel, info, joined)

    async def check(self) -> None:
        """Return: memory always works."""
        await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Free the memory of what has expired, until cancelled."""
        while True:
            is_behind = self.sweep(self._clock())
            await trio.sleep(0 if is_behind else SWEEP_PERIOD)

    def sweep(self, now: float, limit: int = SWEEP_LIMIT) -> bool:
        """Free what has expired by `now`, up to `limit` of each kind; return whether to go on."""
        return limit in (
            self._sweep_publications(now, limit),
            self._sweep_streams(now, limit),
            self._outcomes.sweep(now, limit),
            self._attendance.sweep(now, limit),
        )

    def statistics(self) -> MemoryStatistics:
        """Return how much is held, including what has expired and was not swept yet."""
        return MemoryStatistics(len(self._streams), len(self._outcomes), len(self._attendance))

    def _read(self, channel: str, retention: Retention) -> MemoryStream:
        now = self._clock()
        stream = self._streams.get(channel)
        if stream is None or stream.is_forgotten(now):
            return self._begin(channel, retention, now)
        stream.expire(now)
        stream.keep_for(retention, now)
        return stream

    def _begin(self, channel: str, retention: Retention, now: float) -> MemoryStream:
        epoch = "".join(self._rng.choices(ascii_letters, k=8))
        stream = self._streams[channel] = MemoryStream(epoch, now + retention.meta_ttl)
        self._forgetting.note(channel, stream.forget_at)
        return stream

    def _sweep_publications(self, now: float, limit: int) -> int:
        swept = 0
        while swept < limit and (channel := self._expiring.take(now)) is not None:
            swept += 1
            stream = self._streams.get(channel)
            if stream is not None:
                stream.expire(now)
                if stream.publications:
                    self._expiring.note(channel, stream.expire_at)
        return swept

    def _sweep_streams(self, now: float, limit: int) -> int:
        swept = 0
        while swept < limit and (channel := self._forgetting.take(now)) is not None:
            swept += 1
            stream = self._streams[channel]
            if stream.is_forgotten(now):
                del self._streams[channel]
            else:
                self._forgetting.note(channel, stream.forget_at)
        return swept


def _drop_publication(channel: str, publication: Publication, position: Position) -> None:
    """Nobody listens yet."""


def _drop_event(channel: str, info: ClientInfo, joined: bool) -> None:
    """Nobody listens yet."""
