"""Where an embedded server is: its data directory, and the locks by which nodes share it."""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, frozen

from wsmesh.config.redis import RedisSection
from wsmesh.config.redis_url import EMBEDDED
from wsmesh.errors import ConfigError

OPTION = "redis.embedded_dir"
LONGEST_ADDRESS = 107
"""Bytes of a Unix socket's path (sun_path, unix(7), without its final zero)."""


@frozen
class LockFile:
    """An open lock file; what it holds ends with `close`, or with the process."""

    descriptor: int

    def try_exclusive(self) -> bool:
        """Take the lock for this file alone, or say that somebody holds it. A share is given up."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take a share of the lock, or say that somebody holds it alone."""
        return self._try(fcntl.LOCK_SH)

    def close(self) -> None:
        """Give up what it holds."""
        os.close(self.descriptor)

    def _try(self, mode: int) -> bool:
        try:
            fcntl.flock(self.descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@frozen
class Place:
    """The data directory of an embedded server and what lies in it."""

    directory: Path

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return self.directory / "redis.sock"

    @property
    def log(self) -> Path:
        """What the server writes about itself."""
        return self.directory / "server.log"

    @property
    def url(self) -> str:
        """How clients find the server."""
        return f"unix://{self.socket}"

    def lock(self, name: str) -> LockFile:
        """Open a lock of this directory; nobody holds it by that.

        :raises OSError: the directory is gone or of somebody else.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        return LockFile(os.open(self.directory / f"{name}.lock", flags, 0o600))


def as_client(section: RedisSection, environ: Mapping[str, str]) -> RedisSection:
    """Return how to reach the store without being one of those who run it.

    For `embedded`: the socket of the server that nodes share, whether it is there yet or not.
    """
    if section.url != EMBEDDED:
        return section
    directory = Path(section.embedded_dir) if section.embedded_dir else default_directory(environ)
    return evolve(section, url=Place(directory).url)


def default_directory(environment: Mapping[str, str]) -> Path:
    """Return where the data is unless `redis.embedded_dir` says so.

    That is `wsmesh` in `$XDG_STATE_HOME`, by default `~/.local/state` (XDG Base Directory
    Specification): data of one user that outlives restarts.
    """
    state = environment.get("XDG_STATE_HOME", "")
    if not Path(state).is_absolute():  # the specification: ignore a relative one
        home = environment.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
        state = f"{home}/.local/state"
    return Path(state, "wsmesh")


def prepare(directory: Path) -> Place:
    """Make the directory, mode 0700, unless it is there.

    :raises ConfigError: it cannot be made or written to, or its name is too long.
    """
    place = Place(directory.absolute())
    length = len(os.fsencode(place.socket))
    if length > LONGEST_ADDRESS:
        raise ConfigError(OPTION, [
            f"expected a directory whose Unix socket has a path of at most {LONGEST_ADDRESS} "
            f"bytes, {place.socket} has {length}; choose a shorter one"
        ])
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.lock("start").close()
    except OSError as error:
        raise ConfigError(OPTION, [
            f"expected a directory for the embedded server's data, {directory}: {error.strerror}"
        ]) from None
    return place
