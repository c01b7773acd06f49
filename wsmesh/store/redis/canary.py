"""Canaries: a node that does not hear itself through a shard is deaf there.

Each node publishes a number through every shard each second. Redis hands a connection its messages
in the order in which they were published, so hearing a number also proves that everything that was
published through the shard before it has been heard (`pass_through`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

import structlog
import trio
from attrs import define, field
from redis.exceptions import RedisError

from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.client import Redis, Role
from wsmesh.store.redis.composed import refusals
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.keys import Keyspace

PERIOD = 1.0
"""Seconds between two canaries of a shard."""

DEAF_AFTER = 3.0
"""Seconds without a canary after which a node is not ready."""

REOPEN_AFTER = 5.0
"""Seconds without one, and again after each attempt, after which its connection is made anew."""

PASS_WITHIN = 1.0
"""Seconds that `pass_through` waits at most."""

log = structlog.get_logger("wsmesh.store")


@define(eq=False)
class Canary:
    """One shard's canary.

    :ivar sent: the last number that was published; numbers count from 1.
    :ivar heard: the last one that came back.
    :ivar heard_at: when; before the first one it never was.
    :ivar waiting: who waits, with the number that is enough.
    """

    channel: bytes
    sent: int = 0
    heard: int = 0
    heard_at: float = -inf
    reopen_at: float = inf
    is_subscribed: bool = False
    sent_at: float = 0.0
    round_trip: float = 0.0
    waiting: list[tuple[int, Callable[[Exception | None], None]]] = field(factory=list)


class Canaries:
    """The canaries of this node.

    :param name: of this node's run, unlike any other's.
    """

    def __init__(
        self, redis: Redis, keyspace: Keyspace, name: str, counts: StoreCounts
    ) -> None:
        self._redis = redis
        self._keyspace = keyspace
        self._name = name
        self._counts = counts
        self._of: dict[str, Canary] = {}
        self._by_channel: dict[bytes, Canary] = {}

    async def run(self) -> None:
        """Keep a canary on every shard until cancelled."""
        while True:
            self._follow_shards()
            async with trio.open_nursery() as nursery:
                for shard, canary in self._of.items():
                    nursery.start_soon(self._sing, shard, canary)
                await trio.sleep(PERIOD)

    def check(self) -> None:
        """Return when every shard is heard.

        :raises StoreUnavailable: naming one that is not.
        """
        now = trio.current_time()
        for shard, canary in self._of.items():
            silent = now - canary.heard_at
            if silent > DEAF_AFTER:
                since = "never" if silent == inf else f"not for {silent:.1f} s"
                raise StoreUnavailable(f"shard {shard} was {since} heard")

    def hears(self, channel: bytes, message: bytes) -> bool:
        """Take a message; False when it is none of a canary."""
        canary = self._by_channel.get(channel)
        if canary is None:
            return False
        number = message[2:]
        if message[:2] == b"c " and number.isdigit() and canary.heard < int(number) <= canary.sent:
            canary.heard = int(number)
            canary.heard_at = trio.current_time()
            canary.reopen_at = inf
            if canary.heard == canary.sent:
                canary.round_trip = canary.heard_at - canary.sent_at
            self._release(canary)
        return True

    async def pass_through(self, key: bytes) -> None:
        """Return when everything has been heard that was published before on a key's shard.

        :raises StoreUnavailable: that cannot be told.
        """
        canary = self._canary_of(key)
        passed = trio.Event()
        outcome: list[Exception | None] = []

        def settle(error: Exception | None) -> None:
            outcome.append(error)
            passed.set()

        # One under way may have been published before what the caller knows of; the next one was
        # not, and whoever asks meanwhile waits for the same.
        with trio.move_on_after(PASS_WITHIN):
            await self._subscribe(canary)
            is_first = canary.heard == canary.sent or not canary.waiting
            canary.waiting.append((canary.sent + 1, settle))
            if is_first:
                self._publish(canary)
            await passed.wait()
        canary.waiting = [each for each in canary.waiting if each[1] is not settle]
        if not outcome:
            raise StoreUnavailable("a shard is not heard at the moment")
        if outcome[0] is not None:
            raise outcome[0]

    @property
    def silence(self) -> float:
        """Seconds since a canary was heard, of the shard where that is longest; inf: never."""
        now = trio.current_time()
        return max((now - canary.heard_at for canary in self._of.values()), default=inf)

    @property
    def round_trips(self) -> Mapping[str, float]:
        """Seconds from publishing to hearing, of each shard's last canary."""
        return {shard: canary.round_trip for shard, canary in self._of.items()}

    # -- the shards -----------------------------------------------------------------------------

    def _follow_shards(self) -> None:
        """Have a canary on each shard, in a partition that it serves."""
        wanted: dict[str, bytes] = {}
        shards = len(self._redis.shards)
        for partition in range(self._keyspace.partitions):
            channel = self._keyspace.canary(partition, self._name)
            try:
                wanted.setdefault(self._redis.shard_of(channel), channel)
            except StoreUnavailable:
                continue
            if len(wanted) == shards:
                break
        kept = {
            shard: canary for shard, canary in self._of.items()
            if wanted.get(shard) == canary.channel
        }
        for canary in self._of.values():
            if canary.channel not in wanted.values():
                del self._by_channel[canary.channel]
                self._redis.subscriber.unsubscribe(canary.channel)
        self._of = {
            shard: kept.get(shard) or self._by_channel.get(channel) or Canary(channel)
            for shard, channel in wanted.items()
        }
        self._by_channel = {canary.channel: canary for canary in self._of.values()}

    def _canary_of(self, key: bytes) -> Canary:
        shard = self._redis.shard_of(key)
        if shard not in self._of:
            self._follow_shards()
        canary = self._of.get(shard)
        if canary is None:
            raise StoreUnavailable(f"shard {shard} serves no partition now")
        return canary

    async def _sing(self, shard: str, canary: Canary) -> None:
        try:
            await self._subscribe(canary)
        except StoreUnavailable as error:
            log.warning("store.canary_silent", shard=shard, error=str(error))
            return
        now = trio.current_time()
        if now >= canary.reopen_at:
            self._counts.reopened += 1
            log.error("store.deaf", shard=shard, silent=round(now - canary.heard_at, 1))
            self._redis.subscriber.reopen(canary.channel, "its canary is not heard")
            canary.reopen_at = now + REOPEN_AFTER
        self._publish(canary)

    async def _subscribe(self, canary: Canary) -> None:
        if not canary.is_subscribed:
            with refusals():
                await self._redis.subscriber.subscribe(canary.channel)
            canary.is_subscribed = True

    def _publish(self, canary: Canary) -> None:
        canary.sent += 1
        canary.sent_at = trio.current_time()
        message = b"c %d" % canary.sent

        def settle(reply: object) -> None:
            if isinstance(reply, RedisError | StoreUnavailable):
                self._fail(canary, StoreUnavailable(f"a shard takes no canary: {reply}"))
            elif canary.reopen_at == inf and canary.heard < canary.sent:
                # Redis has taken it, so whoever does not hear it now is deaf.
                canary.reopen_at = trio.current_time() + REOPEN_AFTER

        self._redis.execute_nowait(
            ("SPUBLISH", canary.channel, message), settle, key=canary.channel, role=Role.PUBLISH
        )

    def _release(self, canary: Canary) -> None:
        waiting, canary.waiting = canary.waiting, []
        for number, settle in waiting:
            if number <= canary.heard:
                settle(None)
            else:
                canary.waiting.append((number, settle))
        if canary.waiting and canary.heard == canary.sent:
            self._publish(canary)

    def _fail(self, canary: Canary, error: Exception) -> None:
        waiting, canary.waiting = canary.waiting, []
        for _, settle in waiting:
            settle(error)
