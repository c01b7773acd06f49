"""Durable publications: one WAIT or WAITAOF confirms all that a connection wrote before it.

They are sent in batches, one under way on each shard::

    CLIENT ID, publish, publish, ..., WAIT, WAITAOF, INFO replication, CLIENT ID

WAIT says nothing about the writes of other connections (redis.io/commands/wait). So a publication
counts as confirmed only when its reply came before WAIT's, from the server that WAIT asked, and
both CLIENT IDs are the same. Whatever else happens (a redirection, a new connection, a replica that
does not answer in time) it is stored, and reported as no more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog
from attrs import define, field

from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.client import Redis, Role
from wsmesh.store.redis.scripts import Script

MEMORY, REPLICATED, FSYNC = "memory", "replicated", "fsync"

MOST = 1024
"""Publications of one batch."""

MOST_WAITING = 10_000
"""Publications that wait for the batch before theirs, on each shard."""

MARGIN = 0.5
"""Seconds that the reply of WAIT may take longer than WAIT waits."""

Achieve = Callable[[Any, str], None]
"""Takes a publication's reply, or an exception, and the level that was achieved."""

log = structlog.get_logger("wsmesh.store")


@define(eq=False)
class Member:
    """One publication of a batch.

    :param level: what was asked for.
    :ivar reply: once it is there.
    """

    keys: Sequence[bytes]
    args: Sequence[bytes | str | int]
    level: str
    achieve: Achieve
    reply: Any = None
    batch: Batch | None = None

    def settle(self, reply: Any) -> None:
        """Take the reply of the publication."""
        self.reply = reply
        if isinstance(reply, Exception) or self.batch is None or self.batch.is_over:
            self.achieve(reply, MEMORY)


@define(eq=False)
class Batch:
    """Publications that were sent together, and what the commands around them said."""

    members: list[Member]
    confirmed: dict[str, list[Member]] = field(factory=dict)
    first_client: Any = None
    history: str = ""
    is_over: bool = False

    def confirm(self, level: str) -> None:
        """Replicas or disks have what was written by the members that have their reply now."""
        self.confirmed[level] = [
            each for each in self.members
            if each.reply is not None and not isinstance(each.reply, Exception)
        ]

    def end(self, last_client: Any) -> None:
        """Tell every member that has its reply what it achieved; the others are stored."""
        self.is_over = True
        is_one_connection = isinstance(last_client, int) and last_client == self.first_client
        for member in self.members:
            if member.reply is None or isinstance(member.reply, Exception):
                continue
            is_covered = (
                is_one_connection
                and member in self.confirmed.get(member.level, ())
                and member.reply[0] >= 0
                and member.reply[3].decode() == self.history
            )
            member.achieve(member.reply, member.level if is_covered else MEMORY)


class DurablePublications:
    """Sends publications of namespaces that ask for more than `memory`.

    :param replicas: that must have a `replicated` publication.
    :param within: seconds that replicas or disks may take.
    """

    def __init__(self, redis: Redis, script: Script, replicas: int, within: float) -> None:
        self._redis = redis
        self._script = script
        self._replicas = replicas
        self._within = within
        self._waiting: dict[str, list[Member]] = {}
        self._unconfirmed: set[str] = set()

    def publish(
        self, keys: Sequence[bytes], args: Sequence[bytes | str | int], level: str,
        achieve: Achieve,
    ) -> None:
        """Run the script; `achieve` is called once, when the level is achieved or given up.

        :raises StoreUnavailable: no master is known for the keys, or too many wait already.
        """
        shard = self._redis.shard_of(keys[0])
        member = Member(keys, args, level, achieve)
        if shard in self._waiting:
            if len(self._waiting[shard]) >= MOST_WAITING:
                raise StoreUnavailable("too many publications wait to be confirmed")
            self._waiting[shard].append(member)
        else:
            self._waiting[shard] = []
            self._send(shard, [member])

    def _send(self, shard: str, members: list[Member]) -> None:
        batch = Batch(members)
        key = members[0].keys[0]

        def began(reply: Any) -> None:
            batch.first_client = reply

        def replicated(reply: Any) -> None:
            if isinstance(reply, int) and reply >= self._replicas:
                batch.confirm(REPLICATED)
            self._note(REPLICATED, reply, REPLICATED in batch.confirmed)

        def synced(reply: Any) -> None:
            if isinstance(reply, list) and reply[0] >= 1:
                batch.confirm(FSYNC)
            self._note(FSYNC, reply, FSYNC in batch.confirmed)

        def informed(reply: Any) -> None:
            batch.history = _history_in(reply)

        def ended(reply: Any) -> None:
            batch.end(reply)
            self._next(shard)

        self._execute(("CLIENT", "ID"), began, key)
        for member in members:
            member.batch = batch
            self._redis.call_nowait(
                self._script, member.keys, member.args, member.settle, role=Role.DURABLE
            )
        within = round(self._within * 1000)
        levels = {member.level for member in members}
        if REPLICATED in levels:
            self._execute(("WAIT", self._replicas, within), replicated, key, waits=True)
        if FSYNC in levels:
            self._execute(("WAITAOF", 1, 0, within), synced, key, waits=True)
        self._execute(("INFO", "replication"), informed, key)
        self._execute(("CLIENT", "ID"), ended, key)

    def _next(self, shard: str) -> None:
        waiting = self._waiting.pop(shard)
        if waiting:
            self._waiting[shard] = waiting[MOST:]
            self._send(shard, waiting[:MOST])

    def _execute(
        self, command: Sequence[str | int], settle: Callable[[Any], None], key: bytes, *,
        waits: bool = False,
    ) -> None:
        self._redis.execute_nowait(
            command, settle, key=key, role=Role.DURABLE,
            timeout=self._within + MARGIN if waits else None,
        )

    def _note(self, level: str, reply: object, is_confirmed: bool) -> None:
        """Log changes only: in an outage every batch is unconfirmed."""
        if is_confirmed and level in self._unconfirmed:
            self._unconfirmed.discard(level)
            log.info("store.confirmed_again", asked=level)
        elif not is_confirmed and level not in self._unconfirmed:
            self._unconfirmed.add(level)
            log.warning("store.not_confirmed", asked=level, reply=str(reply))


def _history_in(reply: object) -> str:
    """Return the replication id in the text of INFO, empty if there is none."""
    text = reply.decode("ascii", "replace") if isinstance(reply, bytes) else str(reply)
    _, _, rest = text.partition("master_replid:")
    return rest[:40]
