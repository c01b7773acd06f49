"""Processes that share the embedded server of a directory, as nodes do, and that server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import redis
from attrs import define

from tests.node_process import REPOSITORY, clean_environment
from tests.servers.standalone import ONCE
from tests.servers.waiting import until

WITHIN = 20.0


@define(eq=False)
class User:
    """A process inside `open_embedded`, in a process group of its own."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""

    def wait_open(self) -> str:
        """Wait until it has the URL; return that."""
        until(lambda: "URL " in self.said() or not self.is_running, "a URL", within=WITHIN)
        assert self.is_running, self.said()
        (self.url,) = [line[4:] for line in self.said().splitlines() if line.startswith("URL ")]
        return self.url

    @property
    def is_running(self) -> bool:
        """Whether the process exists."""
        return self.process.poll() is None

    def said(self) -> str:
        """Return what it wrote so far."""
        return self.log.read_text()

    def leave(self) -> None:
        """End it in order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(WITHIN) == 0, self.said()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait(WITHIN)

    def interrupt(self) -> None:
        """Press Ctrl-C: SIGINT to its whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(WITHIN)


@contextmanager
def using(directory: Path, count: int, *, pass_fds: tuple[int, ...] = ()) -> Iterator[list[User]]:
    """Start processes at the same time; at the end none is left, nor is their server."""
    users = []
    for number in range(count):
        log = directory.parent / f"{directory.name}-{number}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.servers.embedded_user", str(directory)],
                stdin=subprocess.PIPE, stdout=sink, stderr=sink, start_new_session=True,
                cwd=REPOSITORY, env=clean_environment(), pass_fds=pass_fds,
            )
        users.append(User(process, log))
    try:
        yield users
    finally:
        for user in users:
            user.kill()
            assert user.process.stdin is not None
            user.process.stdin.close()
        if (server := server_pid(directory)) is not None:
            os.kill(server, signal.SIGKILL)


def client(directory: Path) -> redis.Redis:
    """Return a blocking client of the server of a directory."""
    return redis.Redis(
        unix_socket_path=f"{directory}/redis.sock", decode_responses=True, socket_timeout=2, **ONCE
    )


def path_of(url: str) -> Path:
    """Return the socket that a `unix://` URL names."""
    assert urlsplit(url).scheme == "unix"
    return Path(urlsplit(url).path)


def server_pid(directory: Path) -> int | None:
    """Return the process id of the server of a directory, None when none answers."""
    with client(directory) as one, suppress(redis.ConnectionError):
        return int(one.info("server")["process_id"])
    return None
