"""The store that the nodes of a cluster share: streams, presence and delivery through Redis."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import trio

from wsmesh.config.redis import RedisSection
from wsmesh.protocol.messages import ClientInfo, Publication
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
from wsmesh.store.redis.canary import Canaries
from wsmesh.store.redis.catching_up import CatchingUp
from wsmesh.store.redis.client import Redis
from wsmesh.store.redis.composed import PUBLISH, refusals
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.durability import DurablePublications
from wsmesh.store.redis.epochs import Epochs
from wsmesh.store.redis.keys import ChannelKeys, Keyspace
from wsmesh.store.redis.presence import Presence
from wsmesh.store.redis.publishing import Publishing
from wsmesh.store.redis.quarantine import Quarantine
from wsmesh.store.redis.reception import Reception
from wsmesh.store.redis.streams import NOWHERE, Streams
from wsmesh.store.redis.track import Reading, Track

_UNHEARD = Reading(0, 0, 0, 0)

CHECK_PERIOD = 10.0
"""Seconds between comparisons of what was heard with the streams: a loss that no later message
shows is noticed within it."""

EVICTED_AT_ONCE = 100
"""Clients of a dead node that one step of Redis removes."""


class RedisStore:
    """Implements `wsmesh.store.interface.Store` for any number of nodes.

    What is delivered of a channel with history follows in one epoch without a gap, or `gap` is
    called between; missing publications are read from the stream first. `run` must be running.

    :param redis: its pub/sub is this store's alone.
    :param section: `[redis]`.
    :param owner: returns `node/incarnation` of this node as it is now.
    :param rng: makes epochs; of the system, so that no two nodes draw the same.
    :param check_period: seconds, give or take a fifth, between checks of all positions.
    """

    def __init__(
        self, redis: Redis, section: RedisSection, owner: Callable[[], str],
        rng: random.Random | None = None, *, check_period: float = CHECK_PERIOD,
    ) -> None:
        rng = rng if rng is not None else random.SystemRandom()
        self.counts = counts = StoreCounts()
        self._redis = redis
        self._keyspace = keyspace = Keyspace(section.prefix, section.partitions)
        self._canaries = Canaries(redis, keyspace, f"{rng.getrandbits(64):x}", counts)
        self._reception = Reception(
            counts, repair=lambda track: self._catching_up.begin(track), other=self._canaries.hears
        )
        quarantine, epochs = Quarantine(redis, counts), Epochs(rng)
        self._streams = Streams(redis, epochs, quarantine, counts)
        self._catching_up = CatchingUp(
            self._reception, self._streams, self._canaries, counts, check_period, rng
        )
        self._presence = Presence(redis, keyspace, owner, quarantine, counts)
        self._publishing = Publishing(
            redis, keyspace, epochs, quarantine,
            DurablePublications(
                redis, PUBLISH, section.min_replicas, section.durability_timeout
            ),
            counts, known=self._known, acknowledged=self._acknowledged,
        )
        redis.subscriber.listen(self._reception.take, self._catching_up.doubt)

    def listen(
        self, deliver: Deliver, presence_event: DeliverPresenceEvent, gap: Gap
    ) -> None:
        """Name the functions that receive what is published; what they raise is logged."""
        self._reception.listen(deliver, presence_event, gap)

    async def run(self) -> None:
        """Keep canaries, repair what was missed and check positions, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._canaries.run)
            nursery.start_soon(self._catching_up.run)

    async def check(self) -> None:
        """Return when every master answers and every shard is heard.

        :raises StoreUnavailable: naming what does not.
        """
        with refusals():
            await self._redis.check()
        self._canaries.check()

    async def pass_through(self, channel: str) -> None:
        """Return when what was published to a channel before has been heard and delivered.

        :raises StoreUnavailable: that cannot be told.
        """
        keys = self._keyspace.of(channel)
        await self._canaries.pass_through(keys.shard)
        track = self._reception.find(keys)
        if track is not None and track.waiting is not None:
            await self._catching_up.repair(track)

    # -- publishing -----------------------------------------------------------------------------

    def publish_nowait(
        self, channel: str, publication: Publication, options: PublishOptions, settle: Settle
    ) -> None:
        """Store and fan out, with the others of this tick; settles when Redis has answered."""
        self._publishing.publish(channel, publication, options, settle)

    async def publish(
        self, channel: str, publication: Publication, options: PublishOptions
    ) -> Published:
        """Store and fan out."""
        settled = trio.Event()
        outcomes: list[Published | Exception] = []

        def settle(outcome: Published | Exception) -> None:
            outcomes.append(outcome)
            settled.set()

        await trio.lowlevel.checkpoint_if_cancelled()
        self._publishing.publish(channel, publication, options, settle)
        await settled.wait()
        outcome = outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    # -- hearing --------------------------------------------------------------------------------

    async def subscribe(self, channel: str) -> None:
        """Start delivering the channel to this node."""
        keys = self._keyspace.of(channel)
        if self._reception.find(keys) is not None:
            await trio.lowlevel.checkpoint()
            return
        # Before it is confirmed: the first message may come in the same read.
        track = self._reception.add(keys)
        is_held = False
        try:
            with refusals():
                await self._redis.subscriber.subscribe(keys.shard)
            is_held = True
        finally:
            if not is_held and self._reception.hears(track):
                self._reception.remove(keys)

    async def unsubscribe(self, channel: str) -> None:
        """Stop delivering the channel to this node."""
        await trio.lowlevel.checkpoint()
        keys = self._keyspace.of(channel)
        if self._reception.remove(keys):
            self._redis.subscriber.unsubscribe(keys.shard)

    # -- streams --------------------------------------------------------------------------------

    async def top(self, channel: str, retention: Retention) -> Position:
        """Return the stream's top; the stream begins now when there is none."""
        return (await self.history(channel, retention, limit=0)).top

    async def recover(
        self, channel: str, since: Position, retention: Retention, limit: int
    ) -> Recovery:
        """Return all of what follows `since`, or nothing."""
        keys = self._keyspace.of(channel)
        track, reading = self._begin_read(keys)
        found = await self._streams.recover(
            keys, since, retention.meta_ttl, limit, self._known(keys)
        )
        await self._follow(track, found.top, reading)
        return found

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
        keys = self._keyspace.of(channel)
        track, reading = self._begin_read(keys)
        stream = await self._streams.history(
            keys, retention, limit=limit, since=since, reverse=reverse, known=self._known(keys)
        )
        await self._follow(track, stream.top, reading)
        return stream

    async def remove_history(self, channel: str) -> None:
        """Forget the publications; epoch and top stay."""
        await self._streams.remove(self._keyspace.of(channel))

    # -- presence -------------------------------------------------------------------------------

    async def add_presence(self, channel: str, client: str, info: ClientInfo, ttl: float) -> None:
        """Record (or renew) that a client is in a channel, for `ttl` seconds."""
        await self._presence.add(channel, client, info, ttl)

    async def remove_presence(self, channel: str, client: str) -> None:
        """Record that a client left a channel."""
        await self._presence.remove(channel, client)

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return client id -> info of everybody in the channel."""
        return await self._presence.read(channel)

    async def announce(self, channel: str, info: ClientInfo, joined: bool) -> None:
        """Fan out a join or leave event."""
        await self._presence.announce(channel, info, joined)

    async def forget_node(self, owner: str) -> Sequence[tuple[str, ClientInfo]]:
        """Remove the clients of a dead node, `node/incarnation`, from the presence of all channels.

        Joins that were announced are followed by leaves; channel and info of the other clients
        are returned. It may be called again, and by several nodes at once.
        """
        return await self._presence.evict(owner, EVICTED_AT_ONCE)

    # -- what is heard, for what is read and published ------------------------------------------

    @property
    def repairs(self) -> int:
        """Channels that wait for missing publications."""
        return self._catching_up.repairs

    @property
    def silence(self) -> float:
        """Seconds since a canary was heard, of the shard where that is longest; inf: never."""
        return self._canaries.silence

    @property
    def round_trips(self) -> Mapping[str, float]:
        """Seconds from publishing to hearing, for each shard's last canary."""
        return self._canaries.round_trips

    def _begin_read(self, keys: ChannelKeys) -> tuple[Track | None, Reading]:
        track = self._reception.find(keys)
        return track, track.begin_read() if track is not None else _UNHEARD

    async def _follow(self, track: Track | None, top: Position, reading: Reading) -> None:
        if track is not None and self._reception.hears(track):
            await self._catching_up.follow(track, top, reading)

    def _known(self, keys: ChannelKeys) -> Position:
        track = self._reception.find(keys)
        return Position(track.epoch, track.known) if track is not None else NOWHERE

    def _acknowledged(self, keys: ChannelKeys, position: Position) -> None:
        track = self._reception.find(keys)
        if track is not None:
            track.acknowledged(position)
