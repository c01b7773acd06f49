"""Redis for the rest of wsmesh: one object, whatever the deployment."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from wsmesh.config.redis import RedisSection
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.awaiting import Awaited
from wsmesh.store.redis.deployment import deploy
from wsmesh.store.redis.latency import ReplyTimes
from wsmesh.store.redis.pipeline import PING, Operation, Role, Settle
from wsmesh.store.redis.replies import Argument, pack
from wsmesh.store.redis.routing import Router
from wsmesh.store.redis.scripts import Script
from wsmesh.store.redis.settings import settings_of
from wsmesh.store.redis.statistics import RedisStatistics, statistics_of
from wsmesh.store.redis.subscriber import Subscriber

__all__ = ["Redis", "Role", "Script", "open_redis"]


class Redis:
    """Commands, scripts and subscriptions.

    Whatever waits for a reply gets one within `[redis] timeout`, or `StoreUnavailable`. Nothing
    that may have been executed is ever sent again, unless the caller marked it idempotent.

    :param section: `[redis]`, its url not empty and not "embedded".
    :param rng: draws waits and the order of the servers asked.
    :param name: of this node, shown by CLIENT LIST.
    :ivar reply_times: of operations, but for those with a timeout of their own.
    :raises ConfigError: a TLS file cannot be used.
    :raises ValueError: the url cannot be used.
    """

    subscriber: Subscriber

    def __init__(self, section: RedisSection, *, rng: random.Random, name: str = "wsmesh") -> None:
        settings = settings_of(section, name)
        self._timeout = settings.bounds.timeout
        self._nursery: trio.Nursery | None = None
        self.reply_times = ReplyTimes(trio.current_time)
        self._router = Router(settings.bounds.max_in_flight, self._spawn)
        self._topology = self._router.topology = deploy(settings, rng, self._router)
        self.subscriber = Subscriber(
            self._topology, bounds=settings.bounds, rng=rng, totals=self._router.totals,
            spawn=self._spawn,
        )

    async def run(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Own every connection until cancelled; started when the first attempt has ended."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._topology.run, self.subscriber.follow)
                nursery.start_soon(self.subscriber.run)
                await self._first_attempt()
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            self._router.close()

    # -- commands -------------------------------------------------------------------------------

    async def call(
        self, script: Script, keys: Sequence[bytes], args: Sequence[Argument], *,
        role: Role = Role.COMMANDS, idempotent: bool = False,
    ) -> Any:
        """Run a script and return its reply.

        :raises StoreUnavailable: no reply; `is_unknown` when it may have been executed.
        :raises redis.exceptions.ResponseError: the script was refused or failed.
        """
        awaited = Awaited()
        operation = self._submit(
            ("EVALSHA", script.sha, len(keys), *keys, *args), awaited,
            keys[0] if keys else None, role, script, idempotent,
        )
        return await awaited.wait(operation)

    def call_nowait(
        self, script: Script, keys: Sequence[bytes], args: Sequence[Argument], settle: Settle, *,
        role: Role = Role.PUBLISH, idempotent: bool = False,
    ) -> None:
        """Run a script; `settle` gets its reply or an exception, once, perhaps before this returns.

        Calls to one key on one role are executed in the order of the calls, and all calls of one
        tick leave in one write.
        """
        self._submit(
            ("EVALSHA", script.sha, len(keys), *keys, *args), settle,
            keys[0] if keys else None, role, script, idempotent,
        )

    async def execute(
        self, *command: Argument, key: bytes | None = None, role: Role = Role.COMMANDS,
        idempotent: bool = False,
    ) -> Any:
        """Execute a command and return its reply as RESP3 gives it.

        :param key: says which master, in a cluster; without it any of them.
        :raises StoreUnavailable: no reply; `is_unknown` when it may have been executed.
        :raises redis.exceptions.ResponseError: the command was refused or failed.
        """
        awaited = Awaited()
        operation = self._submit(command, awaited, key, role, None, idempotent)
        return await awaited.wait(operation)

    def execute_nowait(
        self, command: Sequence[Argument], settle: Settle, *, key: bytes | None = None,
        role: Role = Role.PUBLISH, idempotent: bool = False, timeout: float | None = None,
    ) -> None:
        """Execute a command; `settle` gets its reply or an exception, as with `call_nowait`.

        :param timeout: seconds, for a command that waits by itself, e.g. WAIT. What is behind it
            on the connection waits as long.
        """
        self._submit(command, settle, key, role, None, idempotent, timeout)

    def _submit(
        self, command: Sequence[Argument], settle: Settle, key: bytes | None, role: Role,
        script: Script | None, is_idempotent: bool, timeout: float | None = None,
    ) -> Operation:
        now = trio.current_time()
        if timeout is None:
            settle = self.reply_times.sampled(settle, now)
        packed = pack(tuple(command))
        operation = Operation(
            packed, settle, now + (timeout or self._timeout), script, is_idempotent
        )
        if self._nursery is None:
            settle(StoreUnavailable("the link to Redis is not open"))
        else:
            self._router.submit(operation, (self._topology.slot_of(key), role))
        return operation

    # -- the deployment -------------------------------------------------------------------------

    def shard_of(self, key: bytes) -> str:
        """Return the name of the master that serves `key` now.

        :raises StoreUnavailable: none is known to.
        """
        master = self._topology.master_of(self._topology.slot_of(key))
        if master is None:
            raise StoreUnavailable("no master is known for this key")
        return master.name

    @property
    def shards(self) -> tuple[str, ...]:
        """Names of the masters known now."""
        return tuple(master.name for master in self._topology.masters())

    async def check(self) -> None:
        """Return if every master answers.

        :raises StoreUnavailable: one does not, or none is known.
        """
        masters = self._topology.masters()
        if not masters:
            raise StoreUnavailable("no master is known")
        deadline = trio.current_time() + self._timeout
        for master in masters:
            awaited = Awaited()
            probe = Operation(PING, awaited, deadline)
            master.link(Role.COMMANDS).submit(probe)
            await awaited.wait(probe)

    @property
    def statistics(self) -> RedisStatistics:
        """What metrics show."""
        return statistics_of(self._topology.masters(), self.subscriber, self._router.totals)

    async def _first_attempt(self) -> None:
        await self._topology.looked.wait()
        for master in self._topology.masters():
            await master.link(Role.COMMANDS).upkeep.tried.wait()

    def _spawn(self, job: Callable[[], Awaitable[object]]) -> None:
        if self._nursery is None:
            raise StoreUnavailable("the link to Redis is not open")
        self._nursery.start_soon(job)


@asynccontextmanager
async def open_redis(
    section: RedisSection, *, rng: random.Random, name: str = "wsmesh"
) -> AsyncGenerator[Redis]:
    """Keep a `Redis` for the length of the block."""
    redis = Redis(section, rng=rng, name=name)
    async with trio.open_nursery() as nursery:
        await nursery.start(redis.run)
        yield redis
        nursery.cancel_scope.cancel()
