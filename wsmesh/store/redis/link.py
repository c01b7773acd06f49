"""A pipelined connection to one master: deadlines, bounds, circuit breaker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog
import trio

from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.backoff import Backoff
from wsmesh.store.redis.breaker import Breaker
from wsmesh.store.redis.connection import READ, Connection
from wsmesh.store.redis.pipeline import PING, Lane, Operation, Pipeline, discard
from wsmesh.store.redis.settings import Bounds
from wsmesh.store.redis.totals import Totals
from wsmesh.store.redis.upkeep import Job, State, Upkeep

log = structlog.get_logger("wsmesh.redis")


class Link:
    """One pipelined connection.

    Operations wait while the first attempt to connect, or to connect again, is under way; once
    it has failed they fail at once until the connection is back.

    :param name: for the log, e.g. `127.0.0.1:6379 publish`.
    :param connect: opens and logs in; raises StoreUnavailable.
    :param breaker: of the master, shared by its links.
    :param refused: receives an operation and the error reply it got.
    :param troubled: called when the connection was lost, cannot be made, or misses deadlines.
    """

    def __init__(
        self, name: str, connect: Callable[[], Awaitable[Connection]], *, bounds: Bounds,
        breaker: Breaker, backoff: Backoff, totals: Totals,
        refused: Callable[[Link, Operation, Exception], None], troubled: Callable[[], None],
    ) -> None:
        self.upkeep = Upkeep(name, connect, backoff, totals)
        self._bounds = bounds
        self._breaker = breaker
        self._totals = totals
        self._troubled = troubled
        self._pipeline = Pipeline(
            max_in_flight=bounds.max_in_flight, max_buffer=bounds.max_buffer,
            refused=lambda operation, error: refused(self, operation, error), faulty=_report,
        )
        self._idle_writer: trio.lowlevel.Task | None = None
        self._last_read = 0.0
        self._is_probing = False
        self._is_leaving = False

    @property
    def name(self) -> str:
        """What the log calls it."""
        return self.upkeep.name

    @property
    def in_flight(self) -> int:
        """Operations queued or unanswered."""
        return len(self._pipeline)

    def lanes(self) -> Iterable[Lane]:
        """Return the lanes of the operations in flight."""
        return self._pipeline.lanes()

    def submit(self, operation: Operation) -> None:
        """Send an operation with the others of this tick, or settle it at once."""
        if self._breaker.is_open:
            _fail(operation, f"{self.name} misses its deadlines (circuit breaker open)")
        elif self.upkeep.state is State.DOWN:
            _fail(operation, f"{self.name} is not connected: {self.upkeep.reason}")
        elif not self._pipeline.put(operation):
            _fail(operation, f"too much waits for {self.name}")
        elif self._idle_writer is not None:
            self._wake_writer()

    def after_these(self, settle: Callable[[Any], None]) -> None:
        """Call `settle` when all that was submitted so far has been answered, or is lost."""
        if self.upkeep.state is State.DOWN:
            settle(None)
        else:
            self._ping(settle, self._bounds.timeout)

    def forget_script(self, operation: Operation) -> None:
        """The server does not know the operation's script: load it before its next use."""
        if operation.script is not None:
            self._pipeline.forget_script(operation.script)

    def leave(self, reason: str) -> None:
        """Make a new connection once all that was submitted so far has been answered."""
        if not self._is_leaving:
            self._is_leaving = True
            self.after_these(lambda _: self.upkeep.drop(reason))

    async def run(self) -> None:
        """Keep the connection until cancelled or stopped."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_deadlines)
            await self.upkeep.run(self)
            nursery.cancel_scope.cancel()

    def came_up(self, connection: Connection) -> tuple[Job, ...]:
        """See `Party`: read replies and write operations."""
        self._is_probing = self._is_leaving = False
        self._last_read = trio.current_time()
        self._breaker.close()
        return self._read, self._write

    def went_down(self, reason: str) -> None:
        """See `Party`: fail what was written; also what was not, when there is no hope."""
        self._pipeline.lose(
            f"the connection to {self.name} was lost: {reason}", now=trio.current_time()
        )
        if self.upkeep.state is State.DOWN:
            self._pipeline.refuse(f"{self.name} is not connected: {reason}")
        self._troubled()

    async def _read(self, stream: trio.abc.Stream) -> None:
        feed = self._pipeline.feed
        while data := await stream.receive_some(READ):
            self._last_read = trio.current_time()
            self._totals.bytes_in += len(data)
            feed(bytes(data))

    async def _write(self, stream: trio.abc.Stream) -> None:
        pipeline = self._pipeline
        while True:
            while pipeline.has_queued:
                if data := pipeline.take():
                    self._totals.bytes_out += len(data)
                    await stream.send_all(data)
            self._idle_writer = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)

    def _stop_waiting(self, _: object) -> trio.lowlevel.Abort:
        self._idle_writer = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake_writer(self) -> None:
        writer, self._idle_writer = self._idle_writer, None
        if writer is not None:
            trio.lowlevel.reschedule(writer)

    async def _watch_deadlines(self) -> None:
        """One timer for all operations, whose deadlines follow each other."""
        bounds, pipeline = self._bounds, self._pipeline
        owed_since = None
        while True:
            now = trio.current_time()
            if missed := pipeline.expire(now):
                self._missed(missed, now)
            if self._breaker.is_open and not self._is_probing:
                self._is_probing = True
                self._ping(self._probed, bounds.silence)
            owed_since = (owed_since or now) if pipeline.unanswered else None
            if owed_since and now - max(owed_since, self._last_read) > bounds.silence:
                self.upkeep.drop(f"no sign of life for {bounds.silence:g} s")
            due = pipeline.next_deadline()
            # New operations are due no sooner than this, so nobody has to be woken for them.
            latest = now + bounds.timeout
            await trio.sleep_until(min(latest, max(due or latest, now + bounds.timeout / 20)))

    def _missed(self, number: int, now: float) -> None:
        self._totals.missed_deadlines += number
        if self._breaker.miss(number, now=now):
            self._totals.breakers_opened += 1
            log.warning("redis.breaker_opened", link=self.name)
            self._troubled()

    def _probed(self, reply: object) -> None:
        self._is_probing = False
        if self._breaker.is_open and not isinstance(reply, Exception):
            self._breaker.close()
            log.info("redis.breaker_closed", link=self.name)

    def _ping(self, settle: Callable[[Any], None], patience: float) -> None:
        deadline = trio.current_time() + patience
        self._pipeline.put(Operation(PING, settle, deadline), bounded=False)
        self._wake_writer()


def _fail(operation: Operation, reason: str) -> None:
    settle, operation.settle = operation.settle, discard
    settle(StoreUnavailable(reason))


def _report(fault: Exception) -> None:
    log.error("redis.callback_failed", exc_info=fault)
