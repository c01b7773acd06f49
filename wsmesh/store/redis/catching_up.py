"""What this node hears: in step with the streams, or told that it is not."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence

import structlog
import trio

from wsmesh.errors import StoreUnavailable
from wsmesh.store.interface import Position, Recovery
from wsmesh.store.redis.canary import Canaries
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.reception import Reception
from wsmesh.store.redis.streams import Streams
from wsmesh.store.redis.track import MOST_WAITING, Learned, Reading, Track

CHECK_BATCH = 100
"""Channels of one partition that one call checks."""

CHECKS_AT_ONCE = 8
REPAIRS_AT_ONCE = 64

PATIENCE = 5.0
"""Seconds that a repair tries to read the missing publications."""

RETRY = 0.25

log = structlog.get_logger("wsmesh.store")


class CatchingUp:
    """Reads what was missed.

    :param period: seconds between checks of all positions, give or take a fifth.
    :param rng: spreads the checks of the nodes.
    """

    def __init__(
        self, reception: Reception, streams: Streams, canaries: Canaries, counts: StoreCounts,
        period: float, rng: random.Random,
    ) -> None:
        self._reception = reception
        self._streams = streams
        self._canaries = canaries
        self._counts = counts
        self._period = period
        self._rng = rng
        self._nursery: trio.Nursery | None = None
        self._repairs: dict[Track, trio.Event] = {}
        self._limit = trio.CapacityLimiter(REPAIRS_AT_ONCE)
        self._doubtful: set[bytes] = set()
        self._in_doubt = trio.Event()

    @property
    def repairs(self) -> int:
        """Channels that wait for missing publications."""
        return len(self._repairs)

    async def run(self) -> None:
        """Repair, and check positions, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._check_doubtful)
                while True:
                    await trio.sleep(self._period * self._rng.uniform(0.8, 1.2))
                    await self.check(self._reception.tracks())
        finally:
            self._nursery = None

    def doubt(self, shards: Iterable[bytes]) -> None:
        """These shard channels were not heard for a while: check them now."""
        self._doubtful.update(shards)
        self._in_doubt.set()

    async def follow(self, track: Track, top: Position, reading: Reading) -> None:
        """Return when all up to `top`, which a read found, was delivered, and cannot come again.

        :raises StoreUnavailable: publications were lost meanwhile, which the gap that was told
            between shows, or it cannot be told.
        """
        learned = self._reception.learn(track, top, reading)
        # Whoever reads in order to subscribe keeps what is heard meanwhile, and it does not fit a
        # top of another epoch; with nothing kept, only former subscribers have lost something.
        is_clean = learned is Learned.GAP and track.heard == reading.heard
        gaps = reading.gaps + is_clean
        if track.gaps == gaps and not track.is_in_step(top):
            await self._canaries.pass_through(track.keys.shard)
            await self._deliver_up_to(track, top)
        if track.gaps != gaps or track.epoch != top.epoch:
            raise StoreUnavailable("publications were lost while the stream was read")

    async def _deliver_up_to(self, track: Track, top: Position) -> None:
        """What was not heard by now will never be."""
        if track.epoch == top.epoch and self._reception.hears(track):
            track.is_settled = True
            if track.offset < top.offset:
                await self.repair(track)

    async def repair(self, track: Track) -> None:
        """Read what is missing and return when it was delivered or given up."""
        event = self._repairs.get(track)
        if event is None:
            track.begin_repair()
            self.begin(track)
            event = self._repairs.get(track)
        if event is not None:
            await event.wait()

    def begin(self, track: Track) -> None:
        """Have the missing publications of a track read; what is heard of it waits."""
        if self._nursery is None:
            self._reception.give_up(track)
        elif track not in self._repairs:
            self._repairs[track] = trio.Event()
            self._nursery.start_soon(self._repair, track)

    async def _repair(self, track: Track) -> None:
        try:
            async with self._limit:
                while track.waiting is not None and self._reception.hears(track):
                    waiting, reading = track.waiting, track.begin_read()
                    found = await self._read(track)
                    # Else it was given up meanwhile, and what waits now waits for something else.
                    if track.waiting is waiting and (
                        found is None or not self._reception.replay(track, found, reading)
                    ):
                        self._reception.give_up(track)
        finally:
            self._repairs.pop(track).set()

    async def _read(self, track: Track) -> Recovery | None:
        deadline = trio.current_time() + PATIENCE
        while True:
            try:
                return await self._streams.recover(
                    track.keys, Position(track.epoch or "?", track.offset), 0.0, MOST_WAITING,
                    Position(track.epoch, track.known),
                )
            except StoreUnavailable as error:
                if trio.current_time() >= deadline or not self._reception.hears(track):
                    log.warning("store.not_repaired", channel=track.keys.channel, error=str(error))
                    return None
            await trio.sleep(RETRY)

    # -- positions ------------------------------------------------------------------------------

    async def check(self, tracks: Collection[Track]) -> None:
        """Compare positions with the streams, and read what was missed."""
        by_partition: dict[int, list[Track]] = {}
        for track in tracks:
            if track.epoch and track.waiting is None:
                by_partition.setdefault(track.keys.partition, []).append(track)
        limit = trio.CapacityLimiter(CHECKS_AT_ONCE)
        async with trio.open_nursery() as nursery:
            for together in by_partition.values():
                for start in range(0, len(together), CHECK_BATCH):
                    nursery.start_soon(
                        self._check_batch, together[start : start + CHECK_BATCH], limit
                    )

    async def _check_doubtful(self) -> None:
        while True:
            await self._in_doubt.wait()
            self._in_doubt = trio.Event()
            shards, self._doubtful = self._doubtful, set()
            await self.check(self._reception.tracks(shards))

    async def _check_batch(self, tracks: Sequence[Track], limit: trio.CapacityLimiter) -> None:
        async with limit:
            try:
                behind = await self._compare(tracks)
                if behind:
                    await self._canaries.pass_through(behind[0][0].keys.shard)
            except StoreUnavailable as error:
                log.warning("store.not_checked", channels=len(tracks), error=str(error))
                # Whether they missed anything is not known, and no message may ever show it.
                self._doubtful.update(track.keys.shard for track in tracks)
                await trio.sleep(RETRY)
                self._in_doubt.set()
                return
        async with trio.open_nursery() as nursery:
            for track, top in behind:
                nursery.start_soon(self._deliver_up_to, track, top)

    async def _compare(self, tracks: Sequence[Track]) -> list[tuple[Track, Position]]:
        """Return those that have not been delivered up to their top."""
        readings = [track.begin_read() for track in tracks]
        tops = await self._streams.tops(
            [(track.keys, Position(track.epoch, track.known)) for track in tracks]
        )
        self._counts.checked += len(tracks)
        behind = []
        for track, top, reading in zip(tracks, tops, readings, strict=True):
            # What was lost meanwhile has been told, and the next check sees what is left.
            if not self._reception.hears(track) or track.gaps != reading.gaps:
                continue
            if top is None or not top.epoch:
                self._reception.forget(track)
                continue
            learned = self._reception.learn(track, top, reading)
            if learned is not Learned.OUTDATED and not track.is_in_step(top):
                behind.append((track, top))
        return behind
