"""A real Redis Cluster: masters and replicas as processes, with faults, fail-overs and reslots."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import trio
from attrs import define, field, frozen
from redis.crc import key_slot

from tests.servers.certificates import make_authority
from tests.servers.slots import SlotMove
from tests.servers.standalone import (
    ADMIN,
    ADMIN_PASSWORD,
    MEMORY_ONLY,
    Config,
    RedisServer,
    free_port,
    redis_binary,
)
from tests.servers.waiting import until

SLOTS = 16_384
READY_WITHIN = 20.0
JOINING_TIMEOUT = 500
"""The node timeout in ms while the cluster forms: whoever was in a minority waits that long."""


@frozen
class Claim:
    """A master that says which slots are its own."""

    server: RedisServer
    epoch: int
    ranges: list[tuple[int, int]]

    def has(self, slot: int) -> bool:
        """Say whether it claims a slot."""
        return any(first <= slot <= last for first, last in self.ranges)


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key."""
    return int(key_slot(key.encode() if isinstance(key, str) else key))


@define(eq=False, kw_only=True)
class RedisCluster:
    """Masters that serve every slot, with replicas.

    What faults is synchronous and immediate. What waits is async and works in a thread, so calls
    of the code under test go on meanwhile.
    """

    servers: list[RedisServer]
    node_timeout: float
    is_touched: bool = field(default=False, init=False)
    _by_id: dict[str, RedisServer] = field(factory=dict, init=False)
    _lost: dict[RedisServer, int] = field(factory=dict, init=False)

    @property
    def url(self) -> str:
        """`redis+cluster://` (or `rediss+cluster://`) with the addresses of all nodes."""
        return f"{self.servers[0].scheme}+cluster://" + ",".join(
            f"127.0.0.1:{server.port}" for server in self.servers
        )

    @property
    def alive(self) -> list[RedisServer]:
        """The servers that can answer."""
        return [server for server in self.servers if server.is_answering]

    @property
    def masters(self) -> list[RedisServer]:
        """The running masters in the order of their first slots."""
        claims = sorted(self._claims(), key=lambda claim: claim.ranges[0])
        return [claim.server for claim in claims if self._is_highest(claim, claims)]

    def replicas_of(self, master: RedisServer) -> list[RedisServer]:
        """Return the running replicas of a master."""
        return [server for server in self.alive if self._follows(server) == self.id_of(master)]

    def master_of(self, key: str | bytes) -> RedisServer:
        """Return the running server that serves a key now."""
        return self.owner_of(slot_of(key))

    def owner_of(self, slot: int) -> RedisServer:
        """Return the running server that serves a slot now."""
        claims = [claim for claim in self._claims() if claim.has(slot)]
        assert claims, f"nobody serves slot {slot}"
        return max(claims, key=lambda claim: claim.epoch).server

    def id_of(self, server: RedisServer) -> str:
        """Return the cluster's name for a server."""
        return next(name for name, one in self._by_id.items() if one is server)

    def kill_master(self, which: int | RedisServer) -> RedisServer:
        """SIGKILL a master, by its place in `masters`; return it, for `wait_failover`."""
        return self._lose(which, RedisServer.kill)

    def stop_master(self, which: int | RedisServer) -> RedisServer:
        """SIGSTOP a master, by its place in `masters`; return it, for `wait_failover`."""
        return self._lose(which, RedisServer.stop)

    async def wait_failover(self, lost: RedisServer) -> RedisServer:
        """Wait until another server serves what `lost` served; return that one."""
        slot = self._lost[lost]

        def is_served() -> bool:
            return any(claim.has(slot) for claim in self._claims()) and self._is_whole()

        await self._until(is_served, "a replica takes over")
        return self.owner_of(slot)

    async def promote(
        self, master: RedisServer, how: Literal["", "FORCE", "TAKEOVER"] = ""
    ) -> RedisServer:
        """Make a replica of `master` the master; return it once it serves the slots.

        :param how: of CLUSTER FAILOVER: "" hands over in order, and loses nothing.
        """
        self.is_touched = True
        replica = self.replicas_of(master)[0]
        replica.admin.execute_command("CLUSTER FAILOVER", *filter(None, [how]))
        await self._until(
            lambda: any(claim.server is replica for claim in self._claims()) and self._is_whole(),
            "the replica is promoted",
        )
        return replica

    def slot_move(self, slot: int, to: RedisServer) -> SlotMove:
        """Return a move of a slot to another master, to be carried out step by step."""
        self.is_touched = True
        source = self.owner_of(slot)
        assert source is not to
        return SlotMove(
            slot=slot, source=source, source_id=self.id_of(source), target=to,
            target_id=self.id_of(to), masters=self.masters,
        )

    async def move_slot(self, slot: int, to: RedisServer) -> None:
        """Move a slot with its keys to another master, while it is being used."""
        move = self.slot_move(slot, to)
        await trio.to_thread.run_sync(move.carry_out)

    def touch(self) -> None:
        """Say that this cluster is not as it was, so that no other test gets it."""
        self.is_touched = True

    async def wait_ok(self) -> None:
        """Wait until every running server finds every slot served, and replicas are in step."""
        await self._until(self._is_whole, "the cluster is whole")

    async def heal(self) -> None:
        """Let stopped servers run on, start killed ones, and `wait_ok`."""
        for server in self.servers:
            if server.is_stopped:
                server.cont()
            if not server.is_running:
                server.start()
        await self.wait_ok()

    def flush(self) -> None:
        """Delete every key, function and script."""
        for master in self.masters:
            master.admin.flushall()
            master.admin.function_flush()
            master.admin.script_flush()

    def form(self, masters: int) -> None:
        """Make one cluster of the servers, the first `masters` of which get the slots; block."""
        for server in self.servers:
            server.wait_ready()
        for epoch, server in enumerate(self.servers, 1):
            admin = server.admin
            self._by_id[admin.execute_command("CLUSTER MYID")] = server
            admin.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
            for other in self.servers[: epoch - 1]:
                bus = other.config["cluster-port"]
                admin.execute_command("CLUSTER MEET", *other.address, bus)
        bounds = [SLOTS * place // masters for place in range(masters + 1)]
        for place, server in enumerate(self.servers[:masters]):
            server.admin.execute_command(
                "CLUSTER ADDSLOTSRANGE", bounds[place], bounds[place + 1] - 1
            )
        for place, replica in enumerate(self.servers[masters:]):
            master = self.id_of(self.servers[place % masters])
            until(partial(self._replicate, replica, master), "meeting", within=READY_WITHIN)
        until(self._is_whole, "the cluster forms", within=READY_WITHIN)
        for server in self.servers:
            server.admin.config_set("cluster-node-timeout", round(self.node_timeout * 1000))

    def _replicate(self, replica: RedisServer, master: str) -> bool:
        replica.admin.execute_command("CLUSTER REPLICATE", master)
        return True

    def _lose(self, which: int | RedisServer, fault: Any) -> RedisServer:
        self.is_touched = True
        lost = self.masters[which] if isinstance(which, int) else which
        self._lost[lost] = next(c.ranges[0][0] for c in self._claims() if c.server is lost)
        fault(lost)
        return lost

    async def _until(self, condition: Any, what: str) -> None:
        await trio.to_thread.run_sync(partial(until, condition, what, within=READY_WITHIN))

    def _claims(self) -> Iterator[Claim]:
        for server in self.alive:
            row = _own_row(server)
            if "master" in row["flags"] and row["slots"]:
                ranges = [(int(slots[0]), int(slots[-1])) for slots in row["slots"]]
                yield Claim(server, int(row["epoch"]), ranges)

    def _is_highest(self, claim: Claim, claims: list[Claim]) -> bool:
        rivals = [other for other in claims if other.has(claim.ranges[0][0])]
        return claim == max(rivals, key=lambda rival: rival.epoch)

    def _follows(self, server: RedisServer) -> str:
        return str(_own_row(server)["master_id"])

    def _is_whole(self) -> bool:
        """Say whether everybody who runs knows everybody who runs, in the same roles."""
        masters = {self.id_of(master) for master in self.masters}
        return all(self._sees_all(server, masters) for server in self.alive)

    def _sees_all(self, server: RedisServer, masters: set[str]) -> bool:
        info: Mapping[str, str] = server.admin.execute_command("CLUSTER INFO")
        rows = {row["node_id"]: row for row in _rows(server)}
        known = {self.id_of(one) for one in self.alive}
        seen = {
            name for name, row in rows.items()
            if "master" in row["flags"] and row["slots"] and "fail" not in row["flags"].split(",")
        }
        role = server.admin.role()
        return (
            info["cluster_state"] == "ok"
            and int(info["cluster_slots_ok"]) == SLOTS
            and known <= rows.keys()
            and all(not {"handshake", "fail", "fail?"} & {*rows[name]["flags"].split(",")}
                    for name in known)
            and seen == masters
            and (role[0] == "master" or role[3] == "connected")
        )


def _rows(server: RedisServer) -> list[dict[str, Any]]:
    return list(server.admin.execute_command("CLUSTER NODES").values())


def _own_row(server: RedisServer) -> dict[str, Any]:
    return next(row for row in _rows(server) if "myself" in row["flags"])


@contextmanager
def running_cluster(
    config: Config = MEMORY_ONLY, *, masters: int = 3, replicas: int = 1,
    node_timeout_ms: int = 1500, binary: str | None = None, tls: bool = False,
    users: Mapping[str, str] | None = None,
) -> Iterator[RedisCluster]:
    """A cluster whose slots are all served and whose replicas are in step, within some 2 s.

    :param replicas: for each master.
    :param users: ACL rules by name, as for `running_redis`.
    """
    size = masters * (1 + replicas)
    with _launched(config, size, node_timeout_ms, binary, tls, users) as cluster:
        cluster.form(masters)
        yield cluster


@asynccontextmanager
async def redis_cluster(
    config: Config = MEMORY_ONLY, *, masters: int = 3, replicas: int = 1,
    node_timeout_ms: int = 1500, binary: str | None = None, tls: bool = False,
    users: Mapping[str, str] | None = None,
) -> AsyncGenerator[RedisCluster]:
    """`running_cluster` for `async with`; other tasks run while the cluster forms."""
    size = masters * (1 + replicas)
    with _launched(config, size, node_timeout_ms, binary, tls, users) as cluster:
        await trio.to_thread.run_sync(cluster.form, masters)
        yield cluster


@contextmanager
def _launched(
    config: Config, size: int, node_timeout_ms: int, binary: str | None, tls: bool,
    users: Mapping[str, str] | None,
) -> Iterator[RedisCluster]:
    with tempfile.TemporaryDirectory(prefix="cluster-") as name, ExitStack() as stack:
        authority = make_authority(Path(name)) if tls else None
        servers = []
        for number in range(size):
            directory = Path(name, str(number))
            directory.mkdir()
            servers.append(
                RedisServer(
                    directory=directory, binary=binary or redis_binary(), tls=authority,
                    users=users, config=_config(directory, tls, users) | dict(config),
                )
            )
            stack.callback(servers[-1].close)
            servers[-1].launch()
        yield RedisCluster(servers=servers, node_timeout=node_timeout_ms / 1000)


def _config(
    directory: Path, tls: bool, users: Mapping[str, str] | None
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "dir": str(directory), "cluster-enabled": "yes", "cluster-config-file": "nodes.conf",
        "cluster-node-timeout": JOINING_TIMEOUT, "cluster-port": free_port(),
        "cluster-allow-replica-migration": "no", "cluster-announce-ip": "127.0.0.1",
        "enable-debug-command": "yes", "repl-diskless-sync-delay": 0, "repl-ping-replica-period": 1,
    }
    if tls:
        config |= {"tls-cluster": "yes", "tls-replication": "yes"}
    if users is not None:
        config |= {"masteruser": ADMIN, "masterauth": ADMIN_PASSWORD}
    return config
