"""The embedded server: one Redis or Valkey for all nodes of this host that use one directory.

Three flocks in the data directory say everything, and vanish with the processes that hold them:
`start.lock` is held by who joins or leaves, `users.lock` is shared by all nodes, `server.lock` is
held by the server. The first node starts the server, the last one ends it. When every node was
killed nobody is left to do so: the server stays, and the next node joins it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog
import trio

from wsmesh.errors import ConfigError
from wsmesh.store.redis import embedded_server as server
from wsmesh.store.redis.embedded_place import OPTION, LockFile, Place, default_directory, prepare

__all__ = ["default_directory", "open_embedded"]

log = structlog.get_logger("wsmesh.store")

Programs = Callable[[], Iterable[str]]

JOIN_WITHIN = 90.0
"""Seconds to wait for another node that joins: it may be loading data."""
LEAVE_WITHIN = 10.0
"""Seconds to wait for it when leaving: it is a user of the server and will see to its end."""
RETRY = 1.0
"""Seconds between attempts to reach or start a server that ended."""


@asynccontextmanager
async def open_embedded(
    directory: Path, *, programs: Programs = server.installed_programs
) -> AsyncGenerator[str]:
    """A server that lives as long as any process is in this block for `directory`; gives its URL.

    It listens on a Unix socket of mode 0600 in the directory and keeps its data there. If it ends
    meanwhile it is started again; callers see their connections close.

    :param programs: yields the servers to choose from.
    :raises ConfigError: no program to run, a directory that cannot be used, or a server that does
        not start.
    """
    place = prepare(directory)
    users = place.lock("users")
    try:
        await _join(place, users, programs)
        async with trio.open_nursery() as watching:
            watching.start_soon(_watch, place, programs)
            yield place.url
            watching.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await _leave(place, users)


async def _join(place: Place, users: LockFile, programs: Programs) -> None:
    async with _mutex(place, JOIN_WITHIN):
        await server.until(users.try_shared)  # who leaves holds it alone, for a moment
        await _ensure(place, programs)


async def _ensure(place: Place, programs: Programs) -> bool:
    """Start the server unless it lives, and say so; needs the mutex."""
    if server.is_alive(place) and await server.wait_ready(place):
        return False
    program = await server.choose(programs())
    await server.launch(place, program)
    if not await server.wait_ready(place):
        raise server.fault(place, "ended while it started")
    log.info("embedded.started", program=program, directory=str(place.directory))
    return True


async def _leave(place: Place, users: LockFile) -> None:
    try:
        async with _mutex(place, LEAVE_WITHIN):
            if not users.try_exclusive() or not server.is_alive(place):
                return
            if await server.end(place):
                log.info("embedded.ended", directory=str(place.directory))
            else:
                log.error("embedded.hangs", directory=str(place.directory))
    except (ConfigError, OSError) as error:
        log.error("embedded.left_running", error=str(error))
    finally:
        users.close()


async def _watch(place: Place, programs: Programs) -> None:
    """Start the server again whenever it ends."""
    while True:
        await _wait_end(place)
        try:
            async with _mutex(place, JOIN_WITHIN):
                if await _ensure(place, programs):
                    log.warning("embedded.restarted", directory=str(place.directory))
                    continue
        except (ConfigError, OSError) as error:
            log.error("embedded.not_restarted", error=str(error))
        await trio.sleep(RETRY)


async def _wait_end(place: Place) -> None:
    """Hold a connection until the server closes it."""
    with suppress(OSError, trio.BrokenResourceError):
        async with await trio.open_unix_socket(str(place.socket)) as stream:
            while await stream.receive_some():
                pass


@asynccontextmanager
async def _mutex(place: Place, within: float) -> AsyncGenerator[None]:
    lock = place.lock("start")
    try:
        with trio.move_on_after(within) as patience:
            await server.until(lock.try_exclusive)
        if patience.cancelled_caught:
            raise ConfigError(OPTION, [
                f"{place.directory}: another node holds start.lock for more than {within:g} s"
            ])
        yield
    finally:
        lock.close()
