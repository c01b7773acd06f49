"""Listening to shard channels: on every master those whose slot it serves."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import cast

import structlog
import trio
from redis.exceptions import MovedError

from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.backoff import Backoff
from wsmesh.store.redis.ear import Ear, Message
from wsmesh.store.redis.ledger import Ledger, Request
from wsmesh.store.redis.master import Master
from wsmesh.store.redis.replies import Fate, fate_of, target_of
from wsmesh.store.redis.settings import Bounds
from wsmesh.store.redis.topology import Topology
from wsmesh.store.redis.totals import Totals
from wsmesh.store.redis.upkeep import Upkeep

log = structlog.get_logger("wsmesh.redis")

SLICE = 2000
"""Channels placed before other tasks get their turn."""

PAUSE = 0.05
"""Seconds before refused channels are asked for again."""

OnMessages = Callable[[list[Message]], None]
OnRestored = Callable[[list[bytes]], None]


class Subscriber:
    """All sharded pub/sub of a node.

    :param spawn: runs a task for as long as the client runs.
    """

    def __init__(
        self, topology: Topology, *, bounds: Bounds, rng: random.Random, totals: Totals,
        spawn: Callable[[Callable[[], Awaitable[object]]], None],
    ) -> None:
        self._topology = topology
        self._bounds = bounds
        self._rng = rng
        self._totals = totals
        self._spawn = spawn
        self._ledger = Ledger()
        self._ears: dict[Master, Ear] = {}
        self._work = trio.Event()
        self._is_pausing = self._has_moved = False
        self._on_messages: OnMessages = lambda messages: None
        self._on_restored: OnRestored = lambda channels: None

    def listen(self, on_messages: OnMessages, on_restored: OnRestored) -> None:
        """Name who is told: all that one read brought, and channels that are heard again.

        Channels are heard again after a loss; messages in between may be missing.
        """
        self._on_messages = on_messages
        self._on_restored = on_restored

    async def subscribe(self, *channels: bytes) -> None:
        """Hear channels; returns when all of them are confirmed. Idempotent.

        :raises StoreUnavailable: not within the deadline; what was not held before is not now.
        :raises redis.exceptions.ResponseError: Redis refused, e.g. the ACL forbids a channel.
        """
        over = trio.Event()
        outcome: list[Exception] = []

        def settled(error: Exception | None) -> None:
            if error is not None:
                outcome.append(error)
            over.set()

        request = Request(tuple(dict.fromkeys(channels)), settled)
        self._ledger.want(request)
        if len(request.remaining) > SLICE:
            self._work.set()
        else:
            for channel in [*request.remaining]:
                self._ask_for(channel)
        try:
            with trio.move_on_after(self._bounds.timeout):
                await over.wait()
        finally:
            late = StoreUnavailable("the subscription was not confirmed in time")
            self._leave(self._ledger.withdraw(request, late))
        if outcome:
            raise outcome[0]

    def unsubscribe(self, *channels: bytes) -> None:
        """Stop hearing channels, soon."""
        self._leave(self._ledger.release(channels))

    def reopen(self, channel: bytes, reason: str) -> None:
        """Make the connection anew that should hear a channel: it is open, and deaf."""
        ear = self._ear_for(channel)
        if ear is not None:
            ear.upkeep.drop(reason)

    @property
    def held(self) -> Collection[bytes]:
        """The channels that were subscribed and not unsubscribed."""
        return self._ledger.held

    @property
    def missing(self) -> int:
        """How many of them are not confirmed on a live connection now."""
        return len(self._ledger.missing)

    @property
    def is_whole(self) -> bool:
        """Whether every held channel is confirmed on a live connection."""
        return not self._ledger.missing

    async def run(self) -> None:
        """Keep a connection to every master, and the channels placed, until cancelled."""
        try:
            while True:
                self._work = trio.Event()
                self._follow_masters()
                await self._place()
                await self._work.wait()
        finally:
            self._ledger.close(StoreUnavailable("the link to Redis was closed"))

    # -- for the topology and the ears ------------------------------------------------------------

    def look_again(self) -> None:
        """There may be channels to place."""
        self._work.set()

    def follow(self) -> None:
        """Masters came, went or exchanged slots."""
        self._has_moved = True
        self._work.set()

    def heard(self, restored: list[bytes], messages: list[Message]) -> None:
        """See `Listener`."""
        try:
            if restored:
                self._on_restored(restored)
            if messages:
                self._on_messages(messages)
        except Exception:
            # The listener's fault must not make the node deaf.
            log.exception("redis.listener_failed")

    def refused(self, ear: Ear, channels: Sequence[bytes], error: Exception | None) -> None:
        """See `Listener`."""
        fate = Fate.MOVED if error is None else fate_of(error)
        if fate is Fate.MOVED and error is not None:
            moved = cast(MovedError, error)
            self._topology.moved(moved.slot_id, target_of(moved, ear.upkeep.address))
        self._topology.look_again()
        ends = error if fate is Fate.DELIVER else None
        if ends is not None:
            log.warning("redis.subscribe_refused", error=str(ends), channels=len(channels))
        self._ledger.refuse(channels, ear, ends)
        if not self._is_pausing:
            self._is_pausing = True
            self._spawn(partial(self._place_later, PAUSE))

    async def _place_later(self, pause: float) -> None:
        await trio.sleep(pause)
        self._is_pausing = False
        self._work.set()

    def _leave(self, leaving: Sequence[tuple[bytes, object]]) -> None:
        for channel, ear in leaving:
            cast(Ear, ear).wish(channel, subscribed=False)

    def _follow_masters(self) -> None:
        masters = self._topology.masters()
        for master in [*self._ears]:
            if master not in masters:
                self._ears.pop(master).upkeep.stop()
        for master in masters:
            if master not in self._ears:
                upkeep = Upkeep(
                    f"{master.name} pub/sub", master.connect, Backoff(self._rng), self._totals
                )
                ear = self._ears[master] = Ear(
                    upkeep, self._ledger, self, bounds=self._bounds,
                    slot_of=self._topology.slot_of, totals=self._totals,
                )
                master.connections.append(upkeep)
                self._spawn(ear.run)

    async def _place(self) -> None:
        """Ask for what is not asked for; leave the masters that do not serve a channel now."""
        ledger = self._ledger
        if self._has_moved:
            self._has_moved = False
            for number, (channel, ear) in enumerate([*ledger.heard.items()]):
                if ear is not self._ear_for(channel):
                    ledger.lose(channel, ear)
                if number % SLICE == SLICE - 1:
                    await trio.lowlevel.checkpoint()
        for number, channel in enumerate([*ledger.unplaced]):
            self._ask_for(channel)
            if number % SLICE == SLICE - 1:
                await trio.lowlevel.checkpoint()

    def _ask_for(self, channel: bytes) -> None:
        """Ask the master that serves a channel for it; later, if it cannot be asked now."""
        ear = self._ear_for(channel)
        if ear is not None and ear.is_up and channel in self._ledger.unplaced:
            self._ledger.ask(channel, ear)
            ear.wish(channel, subscribed=True)

    def _ear_for(self, channel: bytes) -> Ear | None:
        master = self._topology.master_of(self._topology.slot_of(channel))
        return None if master is None else self._ears.get(master)
