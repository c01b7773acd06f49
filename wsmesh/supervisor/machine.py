"""What the supervisor needs of the machine, so that tests can give it another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio

from wsmesh.protocol.control import Report
from wsmesh.supervisor.roles import Role


class Running(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def said(self) -> trio.abc.ReceiveStream:
        """Its standard error."""

    def signal(self, number: int) -> None:
        """Send it a signal; harmless when it has ended."""

    async def wait(self) -> int:
        """Wait for its end; return its exit status, negative for the signal that ended it."""


class Machine(Protocol):
    """Where processes run."""

    def start(self, role: Role) -> Running:
        """Start a process, whose clients and descendants do not matter to this one.

        :raises OSError: there is no room for it.
        """

    async def hear(self, role: Role, take: Callable[[Report], None]) -> None:
        """Hand over each report on the control socket of a role, until cancelled."""
