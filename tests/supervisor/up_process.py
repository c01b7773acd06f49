"""A real `python -m wsmesh up` with its processes, and what they say about themselves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define

from tests.node_process import OPEN_NODE, clean_environment
from wsmesh.protocol.control import LARGEST, Report, decode

WITHIN = 60.0

CLUSTER = OPEN_NODE + """
[node]
shutdown_timeout = "5s"

[supervisor]
runtime_dir = "DIRECTORY/run"
hang_timeout = "3s"

[redis]
embedded_dir = "DIRECTORY/redis"
"""
"""Sockets and data below a directory whose path is short enough for them."""


def eventually(read: Callable[[], Any], what: str, within: float = WITHIN) -> Any:
    """Block until what is read is true; return it."""
    deadline = time.monotonic() + within
    while not (found := read()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def is_gone(pid: int) -> bool:
    """Say whether a process has ended, be it waited for or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@define(eq=False, kw_only=True)
class UpProcess:
    """A supervisor that said it is complete."""

    process: subprocess.Popen[bytes]
    directory: Path

    @property
    def log(self) -> str:
        """What it wrote to standard error so far."""
        return (self.directory / "stderr").read_text(errors="replace")

    @property
    def table(self) -> str:
        """What it wrote to standard output so far."""
        return (self.directory / "stdout").read_text()

    def events(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Return the lines of the log about an event."""
        # The last line may still be being written.
        whole = self.log.rpartition("\n")[0].splitlines()
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [
            line for line in lines
            if line["event"] == event and all(line.get(key) == fields[key] for key in fields)
        ]

    def pids(self, name: str) -> list[int]:
        """Return the process ids of all lives of a process."""
        return [line["pid"] for line in self.events("process.started", name=name)]

    def report(self, name: str) -> Report | None:
        """Return how a process is, by its control socket; None when it does not say."""
        place = "gateway.sock" if name == "gateway" else f"nodes/{name}.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.settimeout(1)
            try:
                link.connect(str(self.directory / "run" / place))
                report = decode(link.recv(LARGEST))
            except OSError:
                return None
        assert isinstance(report, Report)
        return report

    def await_ready(self, *names: str, life: int = 1) -> None:
        """Block until processes are ready in this life of theirs, 1 for the first."""
        def are_ready() -> bool:
            return all(
                len(pids := self.pids(name)) >= life
                and (report := self.report(name)) is not None
                and report.is_ready and report.pid == pids[-1]
                for name in names
            )

        eventually(are_ready, f"{names} ready in life {life}: {self.log}")

    def port(self, name: str) -> int:
        """Return where a process listens, by the table."""
        (line,) = [line for line in self.table.splitlines() if line.split()[:1] == [name]]
        return int(line.rpartition(":")[2])

    def url(self, name: str = "gateway") -> str:
        """Return where clients connect."""
        return f"ws://127.0.0.1:{self.port(name)}/connection/websocket"


@contextmanager
def started(words: Sequence[str], toml: str = CLUSTER) -> Iterator[UpProcess]:
    """A supervisor that was just started; at the end it is killed, with all it started."""
    with tempfile.TemporaryDirectory(prefix="up") as made:
        directory = Path(made)
        config = directory / "wsmesh.toml"
        config.write_text(toml.replace("DIRECTORY", made))
        with (directory / "stdout").open("wb") as out, (directory / "stderr").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "wsmesh", "up", "--config", str(config), *words],
                stdout=out, stderr=err, cwd=directory, env=clean_environment(),
            )
        try:
            yield UpProcess(process=process, directory=directory)
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_up(*words: str, toml: str = CLUSTER) -> Iterator[UpProcess]:
    """A complete cluster; at the end it must obey SIGTERM with status 0 and leave nobody."""
    with started(("--port", "0", *words), toml) as up:
        eventually(
            lambda: up.table.strip() or up.process.poll() is not None, f"complete: {up.log}"
        )
        assert up.process.poll() is None, up.log
        yield up
        if up.process.poll() is None:
            up.process.send_signal(signal.SIGTERM)
            assert up.process.wait(WITHIN) == 0, up.log
        assert "Traceback" not in up.log, up.log
        for line in up.events("process.started"):
            assert is_gone(line["pid"]), line
        assert not os.listdir(up.directory / "run" / "nodes") or up.process.returncode < 0
