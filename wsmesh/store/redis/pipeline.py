"""One connection's operations: queued, written, answered in order. Sans I/O.

Redis answers in the order of the commands, so a FIFO matches replies to operations; an operation
that nobody waits for any more keeps its place, and its reply is thrown away.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any

import hiredis

from wsmesh.config.redis_url import Address
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.replies import NOTHING, open_reader, pack
from wsmesh.store.redis.scripts import Script

CHUNK = 256 * 1024
"""Bytes written at once; what is not yet taken can still be withdrawn."""

ASKING = pack(("ASKING",))
PING = pack(("PING",))


class Role(Enum):
    """What a connection is for; each master has one of a kind, opened when it is needed."""

    COMMANDS = "commands"
    PUBLISH = "publish"
    DURABLE = "durable"
    """Publishes that WAIT or WAITAOF follows: it covers the writes of its own connection."""


Settle = Callable[[Any], None]
"""Receives an operation's reply, or an exception instance."""

Lane = tuple[int, Role]
"""Operations of one lane (slot and role) are executed in the order of their calls."""


def discard(_: Any) -> None:
    """Settle an operation that nobody waits for."""


class Operation:
    """A command on its way.

    :ivar deadline: when its caller gives up, on the clock of the link.
    :ivar lane: None for the link's own operations.
    :ivar script: the script that the command runs by its digest.
    :ivar is_idempotent: it may be written again when its connection was lost.
    :ivar is_asking: ASKING goes before it (slot being imported).
    :ivar target: the address that ASK named, for the next attempt only.
    :ivar tries: how often it was sent and not executed.
    """

    __slots__ = (
        "deadline", "is_asking", "is_idempotent", "lane", "packed", "script", "settle", "target",
        "tries",
    )

    def __init__(
        self, packed: bytes, settle: Settle, deadline: float, script: Script | None = None,
        is_idempotent: bool = False,
    ) -> None:
        self.packed = packed
        self.settle = settle
        self.deadline = deadline
        self.lane: Lane | None = None
        self.script = script
        self.is_idempotent = is_idempotent
        self.is_asking = False
        self.target: Address | None = None
        self.tries = 0


class Pipeline:
    """The operations of one connection.

    :param max_in_flight: operations held at most.
    :param max_buffer: bytes that may wait to be written.
    :param refused: receives an operation and the error reply it got.
    :param faulty: receives what a `settle` raised.
    :ivar unsent: bytes that wait to be written.
    """

    def __init__(
        self, *, max_in_flight: int, max_buffer: int,
        refused: Callable[[Operation, Exception], None], faulty: Callable[[Exception], None],
    ) -> None:
        self.unsent = 0
        self._max_in_flight = max_in_flight
        self._max_buffer = max_buffer
        self._refused = refused
        self._faulty = faulty
        self._queued: deque[Operation] = deque()
        self._written: deque[Operation] = deque()
        self._loaded: set[str] = set()
        self._latest = 0.0
        self._reader = open_reader()

    def __len__(self) -> int:
        """Operations queued or unanswered."""
        return len(self._queued) + len(self._written)

    @property
    def has_queued(self) -> bool:
        """Whether `take` has something to give."""
        return bool(self._queued)

    @property
    def unanswered(self) -> int:
        """Operations that were written."""
        return len(self._written)

    def lanes(self) -> set[Lane]:
        """Return the lanes of the operations in it."""
        return {
            operation.lane
            for operations in (self._written, self._queued)
            for operation in operations
            if operation.lane is not None and operation.settle is not discard
        }

    def put(self, operation: Operation, *, bounded: bool = True) -> bool:
        """Queue an operation; False, and it is not queued, when a bound is reached."""
        size = len(operation.packed)
        if bounded and (
            len(self._queued) + len(self._written) >= self._max_in_flight
            or self.unsent + size > self._max_buffer
        ):
            return False
        # It cannot be answered before those in front of it, and they may be patient ones.
        if operation.deadline < self._latest and (self._queued or self._written):
            operation.deadline = self._latest
        else:
            self._latest = operation.deadline
        self.unsent += size
        self._queued.append(operation)
        return True

    def take(self) -> bytes:
        """Return what to write now; its operations count as written from here on."""
        parts: list[bytes] = []
        size = 0
        queued, written = self._queued, self._written
        while queued and size < CHUNK:
            operation = queued.popleft()
            packed = operation.packed
            self.unsent -= len(packed)
            if operation.settle is discard:
                continue
            script = operation.script
            if script is not None and script.sha not in self._loaded:
                self._loaded.add(script.sha)
                parts.append(pack(("SCRIPT", "LOAD", script.source)))
                written.append(Operation(b"", discard, operation.deadline))
            if operation.is_asking:
                operation.is_asking = False
                parts.append(ASKING)
                written.append(Operation(b"", discard, operation.deadline))
            parts.append(packed)
            size += len(packed)
            written.append(operation)
        return b"".join(parts)

    def feed(self, data: bytes) -> None:
        """Take bytes from Redis and settle the operations that they answer.

        :raises hiredis.ProtocolError: the bytes are not RESP3 or answer nothing.
        """
        self._reader.feed(data)
        gets, written = self._reader.gets, self._written
        while (reply := gets()) is not NOTHING:
            if type(reply) is hiredis.PushNotification:
                continue
            if not written:
                raise hiredis.ProtocolError("a reply that nobody asked for")
            operation = written.popleft()
            try:
                if isinstance(reply, Exception):
                    if operation.settle is not discard:
                        self._refused(operation, reply)
                else:
                    operation.settle(reply)
            except Exception as fault:  # noqa: BLE001 - one caller's fault must not end the others
                self._faulty(fault)

    def expire(self, now: float) -> int:
        """Give up the operations whose deadline has passed; return how many."""
        late = _late(self._written, now)
        never_written = _late(self._queued, now)
        for operation in late:
            self.settle(operation, StoreUnavailable("no answer in time", is_unknown=True))
        for operation in never_written:
            self.settle(operation, StoreUnavailable("not sent in time"))
        return len(late) + len(never_written)

    def next_deadline(self) -> float | None:
        """Return the earliest deadline of an operation that somebody waits for."""
        for operations in (self._written, self._queued):
            for operation in operations:
                if operation.settle is not discard:
                    return operation.deadline
        return None

    def forget_script(self, script: Script) -> None:
        """The server does not know it any more: load it before its next use."""
        self._loaded.discard(script.sha)

    def lose(self, reason: str, *, now: float) -> None:
        """The connection is gone: written operations may have been executed, or not.

        Idempotent ones are queued again, in front; those that were not written stay queued.
        """
        written, self._written = self._written, deque()
        self._loaded.clear()
        self._reader = open_reader()
        again = [
            operation for operation in written
            if operation.is_idempotent and operation.tries == 0 and operation.deadline > now
            and operation.settle is not discard
        ]
        for operation in again:
            operation.tries += 1
            self.unsent += len(operation.packed)
        self._queued.extendleft(reversed(again))
        resent = set(map(id, again))
        for operation in written:
            if id(operation) not in resent:
                self.settle(operation, StoreUnavailable(reason, is_unknown=True))

    def refuse(self, reason: str) -> None:
        """Fail everything that was not written."""
        queued, self._queued = self._queued, deque()
        self.unsent -= sum(len(operation.packed) for operation in queued)
        for operation in queued:
            self.settle(operation, StoreUnavailable(reason))

    def settle(self, operation: Operation, outcome: Any) -> None:
        """Give an operation its outcome; whatever comes later is thrown away."""
        settle, operation.settle = operation.settle, discard
        try:
            settle(outcome)
        except Exception as fault:  # noqa: BLE001 - one caller's fault must not end the others
            self._faulty(fault)


def _late(operations: deque[Operation], now: float) -> list[Operation]:
    late = []
    for operation in operations:
        if operation.deadline > now:
            break
        if operation.settle is not discard:
            late.append(operation)
    return late
