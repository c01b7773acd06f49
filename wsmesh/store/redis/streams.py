"""Reading streams from Redis: tops, recovery, history; what is corrupt is put aside."""

from __future__ import annotations

from typing import Any

import structlog

from wsmesh.errors import StoreUnavailable
from wsmesh.store.interface import Position, Recovery, Retention, Stream, UnrecoverablePosition
from wsmesh.store.redis.client import Redis
from wsmesh.store.redis.composed import READ, TOPS, milliseconds, refusals
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.envelope import MOST_OFFSET, open_entries
from wsmesh.store.redis.epochs import Epochs
from wsmesh.store.redis.keys import ChannelKeys
from wsmesh.store.redis.quarantine import Quarantine

TRIES = 3
"""Reads of a stream until corruption that comes back each time is somebody else's fault."""

NOWHERE = Position()

log = structlog.get_logger("wsmesh.store")

_Found = tuple[Position, bool, tuple[Any, ...]]
"""Top, whether the start is in the stream, publications."""


class Streams:
    """Reads; a stream that is not there begins with the read.

    Each takes `known`, a position that this node knows to exist: a top below it in the same epoch
    is a rollback, and the stream gets another epoch.
    """

    def __init__(
        self, redis: Redis, epochs: Epochs, quarantine: Quarantine, counts: StoreCounts
    ) -> None:
        self._redis = redis
        self._epochs = epochs
        self._quarantine = quarantine
        self._counts = counts

    async def recover(
        self, keys: ChannelKeys, since: Position, meta_ttl: float, limit: int,
        known: Position = NOWHERE,
    ) -> Recovery:
        """Return all that follows `since`, or nothing (`interface.Store.recover`).

        :param meta_ttl: seconds the epoch is kept from now, at least; 0 changes nothing.
        """
        top, found, publications = await self._read(
            keys, known, meta_ttl, "recover", since.epoch, since.offset, limit
        )
        return Recovery(found, top, publications)

    async def history(
        self, keys: ChannelKeys, retention: Retention, *, limit: int,
        since: Position | None = None, reverse: bool = False, known: Position = NOWHERE,
    ) -> Stream:
        """Read a stream from one end or from `since` on (`interface.Store.history`).

        :raises UnrecoverablePosition: `since` is of another epoch.
        """
        epoch, offset = ("", "") if since is None else (since.epoch, since.offset)
        top, found, publications = await self._read(
            keys, known, retention.meta_ttl, "backward" if reverse else "forward",
            epoch, offset, limit,
        )
        if not found:
            raise UnrecoverablePosition(f"epoch {top.epoch}, asked for {epoch}")
        return Stream(top, publications)

    async def tops(
        self, channels: list[tuple[ChannelKeys, Position]]
    ) -> list[Position | None]:
        """Return where streams of one partition are, each with what is known of it.

        An empty epoch: there is no stream (any more). None: what was there is corrupt and was put
        aside.
        """
        args: list[str | int] = [self._epochs.fresh()]
        for _, known in channels:
            args += (known.epoch, known.offset)
        with refusals():
            reply = await self._redis.call(TOPS, [keys.meta for keys, _ in channels], args)
        found: list[Position | None] = []
        for (keys, _), flags, top, epoch in zip(
            channels, reply[::3], reply[1::3], reply[2::3], strict=True
        ):
            if flags < 0:
                self._quarantine.put_aside_nowait(keys.meta, keys.stream)
                found.append(None)
                continue
            self._counts.epoch_replaced(flags)
            found.append(Position(epoch.decode(), top))
        return found

    async def remove(self, keys: ChannelKeys) -> None:
        """Forget the publications; epoch and top stay."""
        with refusals():
            await self._redis.execute("UNLINK", keys.stream, key=keys.stream)

    async def _read(
        self, keys: ChannelKeys, known: Position, meta_ttl: float, mode: str, epoch: str,
        offset: int | str, limit: int,
    ) -> _Found:
        if isinstance(offset, int):
            offset = min(offset, MOST_OFFSET)
        lifetime = milliseconds(meta_ttl) if meta_ttl else 0
        count = -1 if limit > MOST_OFFSET else limit
        for _ in range(TRIES):
            args = (
                self._epochs.fresh(), known.epoch, known.offset, lifetime, mode, epoch, offset,
                count,
            )  # fmt: skip
            with refusals():
                reply = await self._redis.call(READ, (keys.meta, keys.stream), args)
            if reply[0] >= 0:
                self._counts.epoch_replaced(reply[0])
                top = Position(reply[2].decode(), reply[1])
                try:
                    return top, bool(reply[3]), open_entries(reply[4])
                except ValueError as error:
                    self._counts.garbage += 1
                    log.error("store.corrupt", channel=keys.channel, error=str(error))
            await self._quarantine.put_aside(keys.meta, keys.stream)
        raise StoreUnavailable(f"what is stored of channel {keys.channel!r} is corrupt")
