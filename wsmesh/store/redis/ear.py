"""The pub/sub connection to one master: subscriptions in batches, messages by the read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Protocol

import hiredis
import trio
from attrs import frozen

from wsmesh.store.redis.connection import READ, Connection
from wsmesh.store.redis.ledger import Ledger
from wsmesh.store.redis.replies import NOTHING, Argument, open_reader, pack
from wsmesh.store.redis.settings import Bounds
from wsmesh.store.redis.totals import Totals
from wsmesh.store.redis.upkeep import Job, Upkeep

BATCH = 1000
"""Channels of one SSUBSCRIBE; a few milliseconds of work for Redis and for us."""

IDLE = 0.5
"""How long, in deadlines, a connection is left in peace before it has to show that it lives."""

DEAF = 2.0
"""How long, in deadlines, an owed answer may take; bounds how long a node is deaf unnoticed."""

Message = tuple[bytes, bytes]
"""A shard channel and a payload."""


class Listener(Protocol):
    """Who hears what an ear hears."""

    def heard(self, restored: list[bytes], messages: list[Message]) -> None:
        """One read brought this: channels heard again, then messages."""

    def refused(self, ear: Ear, channels: Sequence[bytes], error: Exception | None) -> None:
        """Channels were not subscribed, because of `error` or for no given reason."""

    def look_again(self) -> None:
        """There may be channels to place."""


@frozen
class _Batch:
    """Channels asked for before the PING of that number."""

    number: int
    channels: tuple[bytes, ...]


class Ear:
    """One pub/sub connection; its `ledger` place is itself.

    Each batch of subscriptions is followed by a numbered PING: when its answer is there, what was
    not confirmed was refused.

    :param slot_of: channels of one command must have the same.
    """

    def __init__(
        self, upkeep: Upkeep, ledger: Ledger, listener: Listener, *, bounds: Bounds,
        slot_of: Callable[[bytes], int], totals: Totals,
    ) -> None:
        self.upkeep = upkeep
        self.is_up = False
        self._ledger = ledger
        self._listener = listener
        self._bounds = bounds
        self._slot_of = slot_of
        self._totals = totals
        self._wishes: dict[bytes, bool] = {}
        self._work = trio.Event()
        self._batches: deque[_Batch] = deque()
        # In which batch a channel was asked for last, until that is answered.
        self._asked_in: dict[bytes, int] = {}
        self._pings = self._answered = 0
        self._wants_ping = False
        self._last_read = self._owed_since = 0.0
        self._error: Exception | None = None

    def wish(self, channel: bytes, *, subscribed: bool) -> None:
        """Subscribe or unsubscribe with the next write; the latest wish counts."""
        self._wishes.pop(channel, None)
        self._wishes[channel] = subscribed
        self._work.set()

    async def run(self) -> None:
        """Keep the connection until cancelled or stopped."""
        await self.upkeep.run(self)

    def came_up(self, connection: Connection) -> tuple[Job, ...]:
        """See `Party`."""
        self.is_up = True
        self._wishes.clear()
        self._batches.clear()
        self._asked_in.clear()
        self._answered = self._pings
        self._error = None
        self._last_read = trio.current_time()
        self._listener.look_again()
        return self._read, self._write, self._watch

    def went_down(self, reason: str) -> None:
        """See `Party`."""
        self.is_up = False
        self._ledger.lose_place(self)
        self._listener.look_again()

    async def _read(self, stream: trio.abc.Stream) -> None:
        reader = open_reader()
        gets, heard = reader.gets, self._ledger.heard
        while data := await stream.receive_some(READ):
            self._last_read = trio.current_time()
            self._totals.bytes_in += len(data)
            reader.feed(bytes(data))
            messages: list[Message] = []
            restored: list[bytes] = []
            while (reply := gets()) is not NOTHING:
                if type(reply) is not hiredis.PushNotification:
                    self._take_answer(reply)
                elif reply[0] == b"smessage":
                    if reply[1] in heard:
                        messages.append((reply[1], reply[2]))
                elif reply[0] == b"ssubscribe":
                    if self._is_news(reply[1]) and self._ledger.confirm(reply[1], self):
                        restored.append(reply[1])
                elif reply[0] == b"sunsubscribe" and self._ledger.lose(reply[1], self):
                    # Not our wish: the slot went to another master.
                    self._listener.refused(self, (), None)
            if restored or messages:
                self._listener.heard(restored, messages)

    def _is_news(self, channel: bytes) -> bool:
        """Whether the answer that is here is to the last time the channel was asked for.

        Somebody may have given up, and somebody else asked again: between the two answers the
        channel is left, and not heard.
        """
        if channel in self._wishes or self._asked_in.get(channel) != self._answered + 1:
            return False
        del self._asked_in[channel]
        return True

    def _take_answer(self, reply: object) -> None:
        if isinstance(reply, Exception):
            self._error = reply
            return
        if not isinstance(reply, bytes) or not reply.isdigit():
            raise hiredis.ProtocolError("a reply that nobody asked for")
        self._answered = int(reply)
        error, self._error = self._error, None
        while self._batches and self._batches[0].number <= self._answered:
            batch = self._batches.popleft()
            left = [each for each in batch.channels if self._asked_in.get(each) == batch.number]
            for channel in left:
                del self._asked_in[channel]
            left = [
                each for each in left
                if each not in self._wishes and self._ledger.is_asked(each, self)
            ]
            if left:
                self._listener.refused(self, left, error)

    async def _write(self, stream: trio.abc.Stream) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            while self._wishes or self._wants_ping:
                data = self._take()
                self._totals.bytes_out += len(data)
                await stream.send_all(data)

    def _take(self) -> bytes:
        """Return some of what is to be done as commands, and the PING that ends the batch."""
        chosen = [*islice(self._wishes.items(), BATCH)]
        for channel, _ in chosen:
            del self._wishes[channel]
        coming = tuple(channel for channel, subscribed in chosen if subscribed)
        leaving = [channel for channel, subscribed in chosen if not subscribed]
        self._wants_ping = False
        if self._answered == self._pings:
            self._owed_since = trio.current_time()
        self._pings += 1
        if coming:
            self._batches.append(_Batch(self._pings, coming))
            self._asked_in.update(dict.fromkeys(coming, self._pings))
        commands = [
            *self._commands("SUNSUBSCRIBE", leaving), *self._commands("SSUBSCRIBE", coming),
            ("PING", self._pings),
        ]
        return b"".join(map(pack, commands))

    def _commands(
        self, name: str, channels: Sequence[bytes]
    ) -> Iterator[tuple[Argument, ...]]:
        by_slot: dict[int, list[bytes]] = {}
        for channel in channels:
            by_slot.setdefault(self._slot_of(channel), []).append(channel)
        for together in by_slot.values():
            self._totals.subscribe_commands += 1
            yield name, *together

    async def _watch(self, _: trio.abc.Stream) -> None:
        """Have the connection show that it lives, and give it up when it does not."""
        timeout = self._bounds.timeout
        while True:
            await trio.sleep(timeout * IDLE)
            now = trio.current_time()
            if self._answered < self._pings:
                if now - max(self._owed_since, self._last_read) > timeout * DEAF:
                    self.upkeep.drop(f"no sign of life for {timeout * DEAF:g} s")
            elif now - self._last_read >= timeout * IDLE:
                self._wants_ping = True
                self._work.set()
