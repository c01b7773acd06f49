"""Real processes: started on a tether, heard over their control sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog
import trio
from attrs import define

from wsmesh.protocol.control import LARGEST, MalformedControl, Report, decode
from wsmesh.supervisor import tether
from wsmesh.supervisor.roles import Role

RETRY = 0.05
"""Seconds between attempts to reach a control socket."""

log = structlog.get_logger("wsmesh.supervisor")


@define(eq=False)
class Child:
    """A process of this host.

    :ivar said: its standard error.
    """

    _popen: subprocess.Popen[bytes]
    _pidfd: int
    said: trio.lowlevel.FdStream

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    def signal(self, number: int) -> None:
        """Send it a signal; harmless when it has ended."""
        if self._popen.returncode is None:
            # A process that is not waited for keeps its id, so this is nobody else.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait for its end; return its exit status, negative for the signal that ended it."""
        if self._popen.returncode is None:
            # Readable from the end of the process on (pidfd_open(2)).
            await trio.lowlevel.wait_readable(self._pidfd)
            self._popen.wait()
            os.close(self._pidfd)
        return self._popen.returncode


class Processes:
    """The machine that this is."""

    def start(self, role: Role) -> Child:
        """Start a process that ends with this one; from the main thread only.

        It is in a process group of its own: Ctrl-C reaches it through the supervisor.

        :raises OSError: there is no room for it.
        """
        with suppress(FileNotFoundError):
            os.unlink(role.control)  # what a killed one left would be taken for the new one
        # Not trio's open_process: that forks in a thread of a pool, and when an idle one is
        # dismissed the kernel takes this for the parent's death.
        core = "" if role.core is None else str(role.core)
        popen = subprocess.Popen(
            [
                sys.executable, "-I", "-S", str(Path(tether.__file__)), str(os.getpid()), core,
                *role.words,
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=dict(role.environment), pass_fds=role.fds, process_group=0,
        )
        assert popen.stderr is not None
        with popen.stderr:
            said = trio.lowlevel.FdStream(os.dup(popen.stderr.fileno()))
        try:
            return Child(popen, os.pidfd_open(popen.pid), said)
        except OSError:
            popen.kill()
            popen.wait()
            os.close(said.fileno())
            raise

    async def hear(self, role: Role, take: Callable[[Report], None]) -> None:
        """Hand over each report on the control socket of a role, until cancelled."""
        while True:
            try:
                await _hear_once(role.control, take)
            except MalformedControl as error:
                log.error("control.malformed", name=role.name, error=str(error))
            except OSError:  # not there yet, or gone: the silence is noticed by who listens
                pass
            await trio.sleep(RETRY)


async def _hear_once(path: str, take: Callable[[Report], None]) -> None:
    """Hand over reports until the link ends.

    :raises MalformedControl: something else is said.
    :raises OSError: it cannot be opened, or broke.
    """
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        await link.connect(path)
        while data := await link.recv(LARGEST):
            message = decode(data)
            if not isinstance(message, Report):
                raise MalformedControl(f"expected a report, found {type(message).__name__}")
            take(message)
