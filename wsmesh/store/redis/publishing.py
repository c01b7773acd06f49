"""Publishing into Redis: each publication is one script, all of a tick travel together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog

from wsmesh.errors import StoreUnavailable
from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import Position, Published, PublishOptions, Settle
from wsmesh.store.redis.client import Redis
from wsmesh.store.redis.composed import PUBLISH, PUBLISH_ONCE, milliseconds, refusal
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.durability import MEMORY, DurablePublications
from wsmesh.store.redis.envelope import pack_publication, without_position
from wsmesh.store.redis.epochs import Epochs
from wsmesh.store.redis.keys import ChannelKeys, Keyspace
from wsmesh.store.redis.quarantine import Quarantine

OUTCOME_MS = 300_000
"""How long equal idempotency keys are one publication (Centrifugo's default)."""

_FANNED_OUT = Published(Position())

log = structlog.get_logger("wsmesh.store")


class Publishing:
    """Publications on their way.

    :param known: returns the highest position of a channel that this node knows to exist.
    :param acknowledged: is told of positions that publishers are told.
    """

    def __init__(
        self, redis: Redis, keyspace: Keyspace, epochs: Epochs, quarantine: Quarantine,
        durable: DurablePublications, counts: StoreCounts, *,
        known: Callable[[ChannelKeys], Position],
        acknowledged: Callable[[ChannelKeys, Position], None],
    ) -> None:
        self._redis = redis
        self._keyspace = keyspace
        self._epochs = epochs
        self._quarantine = quarantine
        self._durable = durable
        self._counts = counts
        self._known = known
        self._acknowledged = acknowledged

    def publish(
        self, channel: str, publication: Publication, options: PublishOptions, settle: Settle
    ) -> None:
        """See `wsmesh.store.interface.Store.publish_nowait`."""
        keys = self._keyspace.of(channel)
        key = options.idempotency_key
        if not options.retention.keeps_history or options.skip_history:
            self._fan_out(keys, publication, key, settle)
            return
        retention, known = options.retention, self._known(keys)
        where: tuple[bytes, ...] = (keys.meta, keys.stream, keys.shard)
        if key:
            where = (*where, self._keyspace.outcome(keys, key))
        ttl, level = milliseconds(retention.ttl), options.durability
        args = (
            pack_publication(publication), self._epochs.fresh(), known.epoch, known.offset,
            retention.size, ttl, max(ttl, milliseconds(retention.meta_ttl)), OUTCOME_MS,
            options.version, options.version_epoch, int(level != MEMORY),
        )  # fmt: skip
        if level == MEMORY:
            self._redis.call_nowait(PUBLISH, where, args, partial(self._kept, where, keys, settle))
            return
        try:
            self._durable.publish(where, args, level, partial(
                self._achieved, where, keys, level, settle
            ))
        except StoreUnavailable as error:
            settle(error)

    def _fan_out(
        self, keys: ChannelKeys, publication: Publication, key: str, settle: Settle
    ) -> None:
        message = without_position(publication)
        if key:
            where = (self._keyspace.outcome(keys, key), keys.shard)
            self._redis.call_nowait(
                PUBLISH_ONCE, where, (message, OUTCOME_MS), partial(self._kept, where, keys, settle)
            )
        else:
            self._redis.execute_nowait(
                ("SPUBLISH", keys.shard, message), partial(_fanned_out, settle), key=keys.shard
            )

    def _achieved(
        self, where: tuple[bytes, ...], keys: ChannelKeys, asked: str, settle: Settle, reply: Any,
        level: str,
    ) -> None:
        if level != asked and not isinstance(reply, Exception) and reply[0] >= 0:
            self._counts.below_durability += 1
        self._kept(where, keys, settle, reply, level)

    def _kept(
        self, where: tuple[bytes, ...], keys: ChannelKeys, settle: Settle, reply: Any,
        level: str = MEMORY,
    ) -> None:
        if isinstance(reply, Exception):
            settle(refusal(reply))
            return
        flags = reply[0]
        if flags < 0:
            # Not tried again here: later publications of the channel are under way already.
            wrong = where[:2] if reply[1] <= 2 and len(where) > 2 else (where[reply[1] - 1],)
            failure = StoreUnavailable(f"what was stored of channel {keys.channel!r} is corrupt")
            self._quarantine.put_aside_nowait(*wrong, then=lambda: settle(failure))
            return
        self._counts.epoch_replaced(flags)
        position = Position(reply[2].decode(), reply[1])
        self._acknowledged(keys, position)
        settle(Published(position, bool(flags & 1), level))


def _fanned_out(settle: Settle, reply: Any) -> None:
    settle(refusal(reply) if isinstance(reply, Exception) else _FANNED_OUT)
