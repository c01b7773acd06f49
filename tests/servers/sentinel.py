"""A real Redis under Sentinel: a master, a replica and three sentinels, with fail-over."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import redis
import trio
from attrs import define, field

from tests.servers.certificates import Authority, make_authority
from tests.servers.standalone import (
    ADMIN,
    ADMIN_PASSWORD,
    MEMORY_ONLY,
    Config,
    RedisServer,
    redis_binary,
)
from tests.servers.waiting import until

READY_WITHIN = 20.0
ATTEMPTS = 4
"""To promote in order: a sentinel that gave one up does not try again by itself for minutes."""

SENTINELS, QUORUM = 3, 2
LOOKING = ("INFO-PERIOD", 200, "PUBLISH-PERIOD", 200, "ASK-PERIOD", 200, "PING-PERIOD", 200)
"""How often sentinels look, in ms; by default 10,000, 2,000, 1,000 and 1,000."""

SERVICE = "mymaster"


@define(eq=False, kw_only=True)
class RedisSentinel:
    """A master and its replicas (`servers`), watched by `sentinels` under the name `service`."""

    servers: list[RedisServer]
    sentinels: list[RedisServer]
    service: str = SERVICE
    _lost: RedisServer | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """`redis+sentinel://host:port,host:port/service` (or `rediss+sentinel://`)."""
        addresses = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"{self.servers[0].scheme}+sentinel://{addresses}/{self.service}"

    @property
    def master(self) -> RedisServer:
        """The server that the sentinels name, by the first of them that answers."""
        asked = next(sentinel for sentinel in self.sentinels if sentinel.is_answering)
        return self._named_by(asked)

    @property
    def replicas(self) -> list[RedisServer]:
        """The running servers that follow the master."""
        return [
            server for server in self.servers
            if server.is_answering and server.admin.role()[0] == "slave"
        ]

    def kill_master(self) -> RedisServer:
        """SIGKILL the master; return it. Then `wait_promotion`."""
        self._lost = self.master
        self._lost.kill()
        return self._lost

    def stop_master(self) -> RedisServer:
        """SIGSTOP the master; return it. Then `wait_promotion`."""
        self._lost = self.master
        self._lost.stop()
        return self._lost

    async def failover(self) -> RedisServer:
        """Ask for an orderly promotion while the master is well; return the new master."""
        self._lost = self.master
        asked = self.sentinels[0]
        for _ in range(ATTEMPTS - 1):
            if self._named_by(asked) is self._lost:
                # Refused while it looks at the replica, or is at it since the last time.
                with suppress(redis.ResponseError):
                    asked.admin.execute_command("SENTINEL FAILOVER", self.service)
            with suppress(AssertionError):
                return await self._promoted(READY_WITHIN / ATTEMPTS)
        return await self.wait_promotion()

    async def wait_promotion(self) -> RedisServer:
        """Wait until every sentinel names another master, which says so too; return it."""
        return await self._promoted(READY_WITHIN)

    async def _promoted(self, within: float) -> RedisServer:
        await self._until(self._is_promoted, "a replica is promoted", within)
        return self.master

    async def heal(self) -> None:
        """Let what was stopped run on, start what was killed, wait until replicas follow."""
        for server in [*self.servers, *self.sentinels]:
            if server.is_stopped:
                server.cont()
            if not server.is_running:
                server.start()
                if server in self.sentinels:
                    _hasten(server)
        await self._until(self.is_whole, "Sentinel and its servers are whole")

    def is_whole(self) -> bool:
        """Say whether replicas are in step, and sentinels know each other and all servers."""
        roles = [server.admin.role() for server in self.servers]
        masters = [role for role in roles if role[0] == "master"]
        attached = [role for role in roles if role[0] == "slave" and role[3] == "connected"]
        return (
            len(masters) == 1
            and len(attached) == len(roles) - 1
            and all(self._is_informed(sentinel) for sentinel in self.sentinels)
        )

    def _is_informed(self, sentinel: RedisServer) -> bool:
        # redis-py parses SENTINEL MASTER into a dictionary
        state: Mapping[str, Any] = sentinel.admin.sentinel_master(self.service)
        return (
            str(state["flags"]) == "master"
            and int(state["num-slaves"]) == len(self.servers) - 1
            and int(state["num-other-sentinels"]) == len(self.sentinels) - 1
            and self._named_by(sentinel).admin.role()[0] == "master"
            and all(
                row["role-reported"] == "slave" and row["master-link-status"] == "ok"
                for row in sentinel.admin.sentinel_slaves(self.service)
            )
        )

    def _named_by(self, sentinel: RedisServer) -> RedisServer:
        _, port = sentinel.admin.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self.service)
        return next(server for server in self.servers if server.port == int(port))

    def _is_promoted(self) -> bool:
        named = {
            self._named_by(sentinel) for sentinel in self.sentinels if sentinel.is_answering
        }
        return (
            len(named) == 1
            and self._lost not in named
            and named.pop().admin.role()[0] == "master"
        )

    async def _until(self, condition: Any, what: str, within: float = READY_WITHIN) -> None:
        await trio.to_thread.run_sync(partial(until, condition, what, within=within))


@contextmanager
def running_sentinel(
    config: Config = MEMORY_ONLY, *, replicas: int = 1, down_after_ms: int = 1000,
    tls: bool = False, users: Mapping[str, str] | None = None,
) -> Iterator[RedisSentinel]:
    """A master with a replica in step, and three sentinels that agree about them.

    :param down_after_ms: silence after which a sentinel suspects the master.
    :param users: ACL rules by name, as for `running_redis`, of servers and sentinels.
    """
    with _launched(config, replicas, down_after_ms, tls, users) as system:
        until(system.is_whole, "Sentinel starts", within=READY_WITHIN)
        yield system


@asynccontextmanager
async def redis_sentinel(
    config: Config = MEMORY_ONLY, *, replicas: int = 1, down_after_ms: int = 1000,
    tls: bool = False, users: Mapping[str, str] | None = None,
) -> AsyncGenerator[RedisSentinel]:
    """`running_sentinel` for `async with`; other tasks run until all agree."""
    with _launched(config, replicas, down_after_ms, tls, users) as system:
        ready = partial(until, system.is_whole, "Sentinel starts", within=READY_WITHIN)
        await trio.to_thread.run_sync(ready)
        yield system


@contextmanager
def _launched(
    config: Config, replicas: int, down_after_ms: int, tls: bool, users: Mapping[str, str] | None
) -> Iterator[RedisSentinel]:
    with tempfile.TemporaryDirectory(prefix="sentinel-") as name, ExitStack() as stack:
        authority = make_authority(Path(name)) if tls else None
        secure = {"tls-replication": "yes"} if tls else {}

        def launch(role: str, config: Mapping[str, Any], *mode: str) -> RedisServer:
            directory = Path(name, role)
            directory.mkdir()
            server = RedisServer(
                directory=directory, binary=redis_binary(), mode=mode, tls=authority, users=users,
                config={"dir": str(directory), **secure, **config},
            )
            stack.callback(server.close)
            server.launch()
            server.wait_ready()
            return server

        serving: dict[str, Any] = {
            "enable-debug-command": "yes", "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1, **config,
        }
        if users is not None:
            serving |= {"masteruser": ADMIN, "masterauth": ADMIN_PASSWORD}
        master = launch("master", serving)
        following = serving | {"replicaof": f"127.0.0.1 {master.port}"}
        servers = [master, *(launch(f"replica{n}", following) for n in range(replicas))]
        watching = _watching(master, servers[1:], down_after_ms, authority, users)
        names = [secrets.token_hex(20) for _ in range(SENTINELS)]
        sentinels: list[RedisServer] = []
        for own in names:
            known = [
                f"known-sentinel {SERVICE} 127.0.0.1 {other.port} {other_name}"
                for other, other_name in zip(sentinels, names, strict=False)
            ]
            directives = [f"myid {own}", *watching, *known]
            sentinels.append(launch(f"sentinel-{own[:4]}", {"sentinel": directives}, "--sentinel"))
            _hasten(sentinels[-1])
        yield RedisSentinel(servers=servers, sentinels=sentinels)


def _hasten(sentinel: RedisServer) -> None:
    """Look at the servers more often than in life, so that tests need not wait."""
    sentinel.admin.execute_command("SENTINEL DEBUG", *LOOKING)


def _watching(
    master: RedisServer, replicas: list[RedisServer], down_after_ms: int,
    authority: Authority | None, users: Mapping[str, str] | None,
) -> list[str]:
    directives = [
        f"monitor {SERVICE} 127.0.0.1 {master.port} {QUORUM}",
        f"down-after-milliseconds {SERVICE} {down_after_ms}",
        f"failover-timeout {SERVICE} 4000",
        f"parallel-syncs {SERVICE} 1",
        *(f"known-replica {SERVICE} 127.0.0.1 {replica.port}" for replica in replicas),
    ]
    if users is not None:
        directives += [
            f"auth-user {SERVICE} {ADMIN}", f"auth-pass {SERVICE} {ADMIN_PASSWORD}",
            f"sentinel-user {ADMIN}", f"sentinel-pass {ADMIN_PASSWORD}",
        ]
    return directives
