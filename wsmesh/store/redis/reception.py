"""Messages from Redis on their way to this node's subscribers: in order, once, contiguous."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import structlog

from wsmesh.protocol.messages import ClientInfo, Publication
from wsmesh.store.interface import Deliver, DeliverPresenceEvent, Gap, Position, Recovery
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.envelope import Kind, open_message
from wsmesh.store.redis.keys import ChannelKeys
from wsmesh.store.redis.track import Learned, Reading, Track, Verdict

log = structlog.get_logger("wsmesh.store")

NOWHERE = Position()


class Reception:
    """The channels that this node hears.

    :param repair: called with a track of which publications are missing.
    :param other: takes messages of other shard channels.
    """

    def __init__(
        self, counts: StoreCounts, *, repair: Callable[[Track], None],
        other: Callable[[bytes, bytes], object],
    ) -> None:
        self._counts = counts
        self._repair = repair
        self._other = other
        self._tracks: dict[bytes, Track] = {}
        self._deliver: Deliver = _nobody
        self._presence_event: DeliverPresenceEvent = _nobody
        self._gap: Gap = _nobody

    def listen(
        self, deliver: Deliver, presence_event: DeliverPresenceEvent, gap: Gap
    ) -> None:
        """Name the functions that receive what is heard."""
        self._deliver = deliver
        self._presence_event = presence_event
        self._gap = gap

    # -- channels -------------------------------------------------------------------------------

    def add(self, keys: ChannelKeys) -> Track:
        """Begin to take messages of a channel."""
        track = self._tracks[keys.shard] = Track(keys)
        return track

    def remove(self, keys: ChannelKeys) -> bool:
        """Take no more of them; False: it was none of ours."""
        return self._tracks.pop(keys.shard, None) is not None

    def find(self, keys: ChannelKeys) -> Track | None:
        """Return the track of a channel that is heard."""
        return self._tracks.get(keys.shard)

    def hears(self, track: Track) -> bool:
        """Whether this track is (still) the one of its channel."""
        return self._tracks.get(track.keys.shard) is track

    def tracks(self, shards: Iterable[bytes] | None = None) -> Collection[Track]:
        """Return the tracks of these shard channels, or all."""
        if shards is None:
            return [*self._tracks.values()]
        return [track for shard in shards if (track := self._tracks.get(shard)) is not None]

    # -- messages -------------------------------------------------------------------------------

    def take(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        """Take all that one read brought: shard channels and messages, in order."""
        tracks = self._tracks
        for shard, message in messages:
            track = tracks.get(shard)
            if track is None:
                self._other(shard, message)
                continue
            kind, epoch, offset, what = open_message(message)
            if kind is Kind.PUBLICATION:
                self._take(track, epoch, offset, what)
            elif kind is Kind.JOIN or kind is Kind.LEAVE:
                self._hand_over_event(track.keys.channel, what, kind is Kind.JOIN)
            elif kind is Kind.UNKNOWN:
                self._counts.unknown += 1
            else:
                self._counts.garbage += 1
                log.warning("store.garbage", channel=track.keys.channel, size=len(message))

    def _take(self, track: Track, epoch: str, offset: int, publication: Publication) -> None:
        verdict = track.take(epoch, offset, publication)
        if verdict is Verdict.DELIVER:
            self._hand_over(track, epoch, offset, publication)
        elif verdict is Verdict.REPAIR:
            self._repair(track)
        elif verdict is Verdict.OVERFLOW:
            self.give_up(track)
        elif verdict is Verdict.DUPLICATE:
            self._counts.duplicates += 1
        elif verdict is Verdict.STALE:
            self._counts.stale += 1

    # -- what reads found -----------------------------------------------------------------------

    def learn(self, track: Track, top: Position, reading: Reading) -> Learned:
        """Take note of where a read found the stream's top."""
        learned = track.learn(top, reading)
        if learned is Learned.GAP:
            self._lost(track)
        return learned

    def forget(self, track: Track) -> None:
        """The stream is no more."""
        track.forget()
        self._lost(track)

    def replay(self, track: Track, found: Recovery, reading: Reading) -> bool:
        """Deliver what was missing and then what waited; False: not all of it was found."""
        if not found.top.epoch:
            return False
        learned = self.learn(track, found.top, reading)
        if learned is Learned.OUTDATED:
            return True
        if learned is Learned.NOTHING and not found.recovered:
            return False
        waiting = track.release()
        if learned is Learned.NOTHING:
            self._deliver_missing(track, found.publications)
        for number, (epoch, offset, publication) in enumerate(waiting):
            # The read came after these, so it is right about the epoch.
            if offset and number < reading.waiting and epoch != found.top.epoch:
                self._counts.stale += 1
            else:
                self._take(track, epoch, offset, publication)
        return True

    def _deliver_missing(self, track: Track, publications: Sequence[Publication]) -> None:
        for publication in publications:
            if track.repaired(publication):
                self._counts.repaired += 1
                self._hand_over(track, track.epoch, publication.offset, publication)
        track.is_settled = True

    def give_up(self, track: Track) -> None:
        """Say that publications are lost, and deliver what waited for them."""
        waiting = track.release()
        self._lost(track)
        is_told = True
        for epoch, offset, publication in waiting:
            follows = epoch == track.epoch and offset == track.offset + 1
            if not track.jump(epoch, offset):
                self._counts.duplicates += 1
                continue
            if offset and not follows and not is_told:
                self._lost(track)
            is_told = is_told and not offset
            self._hand_over(track, epoch, offset, publication)

    # -- listeners ------------------------------------------------------------------------------

    def _lost(self, track: Track) -> None:
        track.gaps += 1
        self._counts.gaps += 1
        log.debug("store.gap", channel=track.keys.channel)
        try:
            self._gap(track.keys.channel)
        except Exception as fault:  # noqa: BLE001 - one channel's fault must not cost the others
            self._failed(fault)

    def _hand_over(
        self, track: Track, epoch: str, offset: int, publication: Publication
    ) -> None:
        position = NOWHERE
        if offset:
            position = Position(epoch, offset)
            track.heard += 1
        self._counts.delivered += 1
        try:
            self._deliver(track.keys.channel, publication, position)
        except Exception as fault:  # noqa: BLE001 - one channel's fault must not cost the others
            self._failed(fault)

    def _hand_over_event(self, channel: str, info: ClientInfo, joined: bool) -> None:
        try:
            self._presence_event(channel, info, joined)
        except Exception as fault:  # noqa: BLE001 - one channel's fault must not cost the others
            self._failed(fault)

    def _failed(self, fault: Exception) -> None:
        self._counts.listener_faults += 1
        log.error("store.listener_failed", exc_info=fault)


def _nobody(*_: object) -> None:
    """Nobody listens yet."""
