"""Keeps one process running: starts it, listens to it, kills it when it hangs, starts it again."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import structlog
import trio
from attrs import define, field

from wsmesh.protocol.control import Report
from wsmesh.supervisor.giving_up import Standing
from wsmesh.supervisor.life import Life
from wsmesh.supervisor.lines import Cutter, readable
from wsmesh.supervisor.machine import Machine, Running
from wsmesh.supervisor.roles import Role

TICK = 0.1
"""Seconds between looks at whether the process hangs."""

ASLEEP = 0.5
"""A look that comes so much later says that the supervisor itself was stopped."""

LAST_WORDS = 0.5
"""Seconds to read what an ended process said; its own children may hold the pipe open."""

LEAVING = frozenset({"draining", "leaving"})
"""States of a process that stops."""

REMEMBERED = 20
"""Newest lines that are kept to explain why it ended."""

log = structlog.get_logger("wsmesh.supervisor")


@define(eq=False, kw_only=True)
class Keeper:
    """One process that is to be kept running.

    :param changed: called when it starts, ends or says something new about itself.
    :param tell: takes each line that it says, with the name of the role.
    :ivar report: how it is; None when that is not known.
    :ivar newest: the end of what its last life said.
    :ivar restarts: starts after the first one.
    """

    role: Role
    life: Life
    _machine: Machine
    _changed: Callable[[], None]
    _tell: Callable[[str, bytes], None]
    report: Report | None = field(default=None, init=False)
    newest: deque[str] = field(factory=lambda: deque(maxlen=REMEMBERED), init=False)
    restarts: int = field(default=-1, init=False)
    _running: Running | None = field(default=None, init=False)
    _is_retired: bool = field(default=False, init=False)
    _owes_reload: bool = field(default=False, init=False)
    _retirement: trio.Event = field(factory=trio.Event, init=False)

    @property
    def pid(self) -> int:
        """Its process id, 0 between two lives."""
        return 0 if self._running is None else self._running.pid

    @property
    def is_ready(self) -> bool:
        """Whether it takes clients, as far as it has said."""
        return self.report is not None and self.report.is_ready

    def standing(self) -> Standing:
        """Return how it stands, for deciding whether the cluster can be kept."""
        return Standing(
            name=self.role.name, is_gateway=self.role.is_gateway, failures=self.life.failures,
            is_hopeless=self.life.is_hopeless, is_running=self.life.is_running,
        )

    async def run(self) -> None:
        """Keep it running until it is retired and has ended; cancelled, it is killed."""
        while not self._is_retired:
            status = await self._live()
            wait = self.life.end(trio.current_time(), status)
            self._running = self.report = None
            self._changed()
            log.info(
                "process.ended", name=self.role.name, status=status, failures=self.life.failures,
                again_in=None if self._is_retired else round(wait, 3),
            )
            with trio.move_on_after(wait):
                await self._retirement.wait()

    def stop(self) -> None:
        """Tell it to stop, and by calling again, to stop at once; a new life begins after it."""
        self.life.ask_to_stop(trio.current_time())
        self._signal(signal.SIGTERM)

    def let_end(self) -> None:
        """Start it no more; a process that runs goes on."""
        self._is_retired = True
        self._retirement.set()

    def retire(self) -> None:
        """Tell it to stop, for ever; a second call hurries it."""
        self.let_end()
        self.stop()

    def reload(self) -> None:
        """Tell it to read its configuration again.

        One that starts may not have a handler for the signal yet, and would end.
        """
        if self.life.is_running:
            self._signal(signal.SIGHUP)
        else:
            self._owes_reload = True

    async def _live(self) -> int:
        """Live one life; return the exit status."""
        try:
            running = self._machine.start(self.role)
        except OSError as error:
            self.newest.append(f"not started: {error}")
            log.error("process.not_started", name=self.role.name, error=str(error))
            self.life.start(trio.current_time())
            return -signal.SIGKILL
        self._begin(running)
        try:
            async with trio.open_nursery() as reading:
                reading.start_soon(self._follow, running)
                async with trio.open_nursery() as watching:
                    watching.start_soon(self._machine.hear, self.role, self._hear)
                    watching.start_soon(self._watch)
                    status = await running.wait()
                    watching.cancel_scope.cancel()
                reading.cancel_scope.deadline = trio.current_time() + LAST_WORDS
        finally:
            running.signal(signal.SIGKILL)
            with trio.CancelScope(shield=True):  # SIGKILL does not leave one waiting
                await running.wait()
        return status

    def _begin(self, running: Running) -> None:
        self._running = running
        self._owes_reload = False
        self.newest.clear()
        self.restarts += 1
        self.life.start(trio.current_time())
        self._changed()
        log.info("process.started", name=self.role.name, pid=running.pid, restarts=self.restarts)

    def _hear(self, report: Report) -> None:
        if report.pid != self.pid:
            return
        was = (self.life.phase, self.is_ready)
        self.report = report
        self.life.hear(trio.current_time(), leaving=report.state in LEAVING)
        if self._owes_reload:
            self._owes_reload = False
            self._signal(signal.SIGHUP)
        if was != (self.life.phase, self.is_ready):
            self._changed()

    async def _watch(self) -> None:
        """Kill the process when it is overdue: the fence, after which others may take over."""
        while True:
            due = trio.current_time() + TICK
            await trio.sleep_until(due)
            now = trio.current_time()
            if now - due > ASLEEP:
                self.life.excuse(now - due)
            if reason := self.life.overdue(now):
                log.error("process.killed", name=self.role.name, pid=self.pid, reason=reason)
                self.newest.append(f"killed: it {reason}")
                self._signal(signal.SIGKILL)
                return

    async def _follow(self, running: Running) -> None:
        cutter = Cutter()
        async with running.said as said:
            try:
                with suppress(trio.BrokenResourceError):
                    async for data in said:
                        for line in cutter.feed(bytes(data)):
                            self._take(line)
            finally:
                for line in cutter.finish():
                    self._take(line)

    def _take(self, line: bytes) -> None:
        if text := readable(line):
            self.newest.append(text)
        self._tell(self.role.name, line)

    def _signal(self, number: int) -> None:
        if self._running is not None:
            self._running.signal(number)
