"""Child processes on a chosen core, and what the kernel counts for them: CPU time and memory."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

REPOSITORY = Path(__file__).parents[2]
START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Children started inside run on `core` from their first instruction."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def running(
    command: Sequence[str], *, core: int, env: Mapping[str, str] | None = None,
    stdin: int | None = subprocess.DEVNULL, stdout: int | IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A child on `core` for the length of the block, then terminated and waited for.

    What it wrote to stderr is shown if it fails inside the block.
    """
    with tempfile.TemporaryFile() as log:
        with pinned(core):
            child = subprocess.Popen(
                command, stdin=stdin, stdout=stdout or log, stderr=log,
                env={**os.environ, **(env or {})}, cwd=REPOSITORY,
            )
        try:
            yield child
        except BaseException:
            log.seek(0)
            tail = log.read()[-2000:].decode(errors="replace")
            if tail:
                click.echo(f"-- {' '.join(command[:5])} wrote:\n{tail}", err=True)
            raise
        finally:
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
            child.terminate()
            try:
                child.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def wait_listening(child: subprocess.Popen[bytes], port: int) -> None:
    """Return when something listens on `port` of 127.0.0.1.

    Looks into the kernel's table instead of connecting: a probe would be the server's first client.

    :raises click.ClickException: if the child ends first, or after 20 s.
    """
    wanted = f"0100007F:{port:04X}"
    until = time.monotonic() + START_TIMEOUT
    while time.monotonic() < until:
        if child.poll() is not None:
            raise click.ClickException(f"server ended with status {child.returncode}")
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1] == wanted and fields[3] == "0A":
                return
        time.sleep(0.05)
    raise click.ClickException(f"nothing listens on port {port} after {START_TIMEOUT:g} s")


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, ended ones included.

    Linux gives a process's CPU clock a clock id derived from its pid (clock_getcpuclockid(3)); it
    is the sum behind utime + stime of /proc/PID/stat without rounding to ticks of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident_bytes(pid: int) -> int:
    """Resident set size of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def stolen_seconds() -> float:
    """Time the hypervisor took from this machine since it started, all cores together."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")
