"""Keys that hold what no node wrote: put aside under another name, for somebody to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from wsmesh.store.redis.client import Redis, Role
from wsmesh.store.redis.composed import QUARANTINE, milliseconds, refusals
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.keys import quarantine_of

KEPT_FOR = 86_400.0
"""Seconds that somebody has to look at it."""

log = structlog.get_logger("wsmesh.store")


def _nothing() -> None:
    """Nobody waits for it."""


class Quarantine:
    """Puts keys aside; what uses them starts anew, a stream with another epoch."""

    def __init__(self, redis: Redis, counts: StoreCounts) -> None:
        self._redis = redis
        self._counts = counts

    async def put_aside(self, *keys: bytes) -> None:
        """Put keys of one slot aside; returns when that is done.

        :raises StoreUnavailable: they are where they were, or this is not known.
        """
        with refusals():
            reply = await self._redis.call(QUARANTINE, _pairs(keys), (milliseconds(KEPT_FOR),))
        self._settled(keys, reply)

    def put_aside_nowait(self, *keys: bytes, then: Callable[[], None] = _nothing) -> None:
        """Put keys of one slot aside, and call `then` once that is done or has failed."""

        def settle(reply: object) -> None:
            self._settled(keys, reply)
            then()

        self._redis.call_nowait(
            QUARANTINE, _pairs(keys), (milliseconds(KEPT_FOR),), settle, role=Role.COMMANDS
        )

    def _settled(self, keys: Sequence[bytes], reply: object) -> None:
        names = [key.decode("utf-8", "replace") for key in keys]
        if isinstance(reply, int):
            self._counts.quarantined += reply
            log.error("store.quarantined", keys=names, moved=reply)
        else:
            log.error("store.not_quarantined", keys=names, error=str(reply))


def _pairs(keys: Sequence[bytes]) -> list[bytes]:
    return [name for key in keys for name in (key, quarantine_of(key))]
