"""A machine on which processes are pretended, for a virtual clock."""

from __future__ import annotations

import math
import signal
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

import trio
import trio.testing
from attrs import define, evolve, field, frozen

from wsmesh.config.sections import Config, Listener
from wsmesh.config.supervisor import SupervisorSection
from wsmesh.protocol.control import REPORT_INTERVAL, Report
from wsmesh.supervisor.roles import Cast, Role
from wsmesh.supervisor.supervisor import Supervisor, open_supervisor

RULES = SupervisorSection(
    hang_timeout=2, start_timeout=30, restart_backoff=0.5, restart_backoff_max=30,
    healthy_after=60, give_up_after=10, give_up_outage=60, rolling_pause=1,
)


@frozen(kw_only=True)
class Behaviour:
    """What a process does in one life; times are seconds after its start."""

    reports_from: float = 1.0
    ready_from: float = 1.0
    hangs_from: float = math.inf
    ends_at: float = math.inf
    status: int = 1
    says: bytes = b""
    obeys: bool = True
    claims_pid: int = 0
    """Whose reports are heard instead, if any."""
    drains_for: float = 0.5
    """From SIGTERM to the end."""
    drains_at: float = math.inf
    """When it is drained by somebody else, and ends with 0."""


@define(eq=False)
class PretendProcess:
    """A process in one of its lives."""

    role: Role
    pid: int
    behaviour: Behaviour
    began: float = field(factory=trio.current_time)
    signals: list[int] = field(factory=list)
    said: trio.testing.MemoryReceiveStream = field(factory=trio.testing.MemoryReceiveStream)
    status: int | None = None
    _draining_from: float = math.inf
    _ends_at: float = math.inf
    _end_status: int = 0
    _changed: trio.Event = field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        if self.behaviour.says:
            self.said.put_data(self.behaviour.says)
        self._ends_at, self._end_status = self.began + self.behaviour.ends_at, self.behaviour.status
        if self.behaviour.drains_at < math.inf:
            self._drain(self.began + self.behaviour.drains_at)

    def signal(self, number: int) -> None:
        if self.status is not None:
            return
        self.signals.append(number)
        if number == signal.SIGKILL:
            self._ends_at, self._end_status = trio.current_time(), -signal.SIGKILL
        elif number == signal.SIGTERM and self.behaviour.obeys:
            if math.isinf(self._draining_from):
                self._drain(trio.current_time())
            else:
                self._ends_at = trio.current_time()  # the second one: at once
        self._changed.set()
        self._changed = trio.Event()

    def _drain(self, when: float) -> None:
        self._draining_from, self._end_status = when, 0
        self._ends_at = when + self.behaviour.drains_for

    async def wait(self) -> int:
        while self._ends_at > trio.current_time():
            with trio.move_on_at(self._ends_at):
                await self._changed.wait()
        if self.status is None:
            self.status = self._end_status
            self.said.put_eof()
        return self.status

    def report(self) -> Report | None:
        now = trio.current_time()
        age = now - self.began
        if self.status is not None or not (
            self.behaviour.reports_from <= age < self.behaviour.hangs_from
        ):
            return None
        is_draining = now >= self._draining_from
        return Report(
            node=self.role.name, incarnation=1, name=self.role.name, report=1,
            pid=self.behaviour.claims_pid or self.pid,
            state="draining" if is_draining else "alive", connections=0, capacity=10,
            is_ready=age >= self.behaviour.ready_from and not is_draining,
        )


@define(eq=False)
class PretendMachine:
    """Starts processes that behave as they are told.

    :param plan: name of a role -> what it does in each life; the last one is repeated.
    """

    plan: Mapping[str, list[Behaviour]] = field(factory=dict)
    lives: dict[str, list[PretendProcess]] = field(factory=dict)
    no_room: int = 0
    """So many starts fail."""

    def start(self, role: Role) -> PretendProcess:
        if self.no_room:
            self.no_room -= 1
            raise OSError(11, "Resource temporarily unavailable")
        lives = self.lives.setdefault(role.name, [])
        behaviours = self.plan.get(role.name, [Behaviour()])
        behaviour = behaviours[min(len(lives), len(behaviours) - 1)]
        pid = 100 + sum(map(len, self.lives.values()))
        lives.append(PretendProcess(role, pid, behaviour))
        return lives[-1]

    async def hear(self, role: Role, take: Callable[[Report], None]) -> None:
        while True:
            report = self.lives[role.name][-1].report()
            if report is not None:
                take(report)
            await trio.sleep(REPORT_INTERVAL)

    def starts(self, name: str) -> list[float]:
        """When a process was started."""
        return [life.began for life in self.lives[name]]

    def newest(self, name: str) -> PretendProcess:
        return self.lives[name][-1]


def a_cast(**changes: object) -> Cast:
    config = Config(listeners=(Listener(address="127.0.0.1:8000"),))
    cast = Cast(config=config, program=("wsmesh",), environment={}, directory="/run/x")
    return evolve(cast, **changes)


@define(eq=False)
class Stage:
    """A supervisor on a pretended machine, and what came of it."""

    machine: PretendMachine
    supervisor: Supervisor
    told: list[tuple[str, bytes]]
    closings: list[float]


@asynccontextmanager
async def a_supervisor(
    count: int = 2, plan: Mapping[str, list[Behaviour]] | None = None, *, gateway: bool = False,
    rules: SupervisorSection = RULES, cast: Cast | None = None, no_room: int = 0,
) -> AsyncGenerator[Stage]:
    machine = PretendMachine(plan or {}, no_room=no_room)
    told: list[tuple[str, bytes]] = []
    closings: list[float] = []
    async with open_supervisor(
        cast or a_cast(has_gateway=gateway), rules, machine, count,
        doors=(7,) if gateway else (), close_doors=lambda: closings.append(trio.current_time()),
        tell=lambda name, line: told.append((name, line)), chance=lambda: 1.0,
    ) as supervisor:
        yield Stage(machine, supervisor, told, closings)
