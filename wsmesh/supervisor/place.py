"""Where a supervisor is: the directory of its control sockets, and its public sockets."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from wsmesh.config.sections import Listener
from wsmesh.errors import ConfigError
from wsmesh.ingress.listener import name_of, open_socket

OPTION = "supervisor.runtime_dir"

LONGEST_ADDRESS = 107
"""Bytes of a Unix socket's path (sun_path, unix(7), without its final zero)."""

_LONGEST_NAME = "nodes/node-1024.sock"


@contextmanager
def open_directory(given: str, environ: Mapping[str, str]) -> Generator[str]:
    """A directory for control sockets, for this user and this supervisor only.

    :param given: the operator's choice; empty: one is made, and removed at the end.
    :raises ConfigError: it cannot be used, or another supervisor uses it.
    """
    if not given:
        runtime = environ.get("XDG_RUNTIME_DIR", "")
        within = runtime if Path(runtime).is_absolute() and os.access(runtime, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="wsmesh-", dir=within) as made:
            _prepare(Path(made))
            yield made
        return
    directory = Path(given).absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _prepare(directory)
        lock = os.open(directory / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(OPTION, [f"{directory}: {error.strerror or error}"]) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(OPTION, [f"{directory}: another supervisor uses it"]) from None
        _forget_sockets(directory)
        yield str(directory)
        _forget_sockets(directory)
    finally:
        os.close(lock)


def _prepare(directory: Path) -> None:
    longest = directory / _LONGEST_NAME
    if len(os.fsencode(longest)) > LONGEST_ADDRESS:
        raise ConfigError(OPTION, [
            f"expected a directory whose Unix sockets have paths of at most {LONGEST_ADDRESS} "
            f"bytes, {longest} has {len(os.fsencode(longest))}; choose a shorter one"
        ])
    (directory / "nodes").mkdir(mode=0o700, exist_ok=True)


def _forget_sockets(directory: Path) -> None:
    """Remove what killed processes left, which a gateway would try to reach for ever."""
    for path in (*directory.glob("*.sock"), *directory.glob("nodes/*.sock")):
        path.unlink(missing_ok=True)


class Doors:
    """The public listening sockets, which outlive a gateway: clients wait while it restarts.

    :param listeners: where.
    :raises ConfigError: one cannot be opened.
    """

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._sockets: list[socket.socket] = []
        try:
            for listener in listeners:
                self._sockets.append(open_socket(listener))
        except ConfigError:
            self.close()
            raise
        self.addresses = tuple(map(name_of, self._sockets))

    @property
    def fds(self) -> tuple[int, ...]:
        """Their descriptors, for a gateway to inherit."""
        return tuple(sock.fileno() for sock in self._sockets)

    def close(self) -> None:
        """Take no further connections; harmless when already closed."""
        for sock in self._sockets:
            path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
            sock.close()
            if path:
                with suppress(FileNotFoundError):  # the gateway may have removed it
                    os.unlink(path)
        self._sockets.clear()
