"""Presence in Redis: who is in a channel, until when, and through which node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from wsmesh.errors import StoreUnavailable
from wsmesh.protocol.messages import ClientInfo
from wsmesh.store.redis.client import Redis, Role, Script
from wsmesh.store.redis.composed import (
    ADD_PRESENCE,
    ANNOUNCE,
    EVICT_PRESENCE,
    READ_PRESENCE,
    REMOVE_PRESENCE,
    milliseconds,
    refusals,
)
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.envelope import join_or_leave, open_client, open_presence, pack_client
from wsmesh.store.redis.keys import Keyspace, member_of, split_member
from wsmesh.store.redis.quarantine import Quarantine

TRIES = 3
"""Calls of a script until corruption that comes back each time is somebody else's fault."""

log = structlog.get_logger("wsmesh.store")


class Presence:
    """Joins, leaves, and who is there.

    :param owner: returns `node/incarnation` of this node as it is now; without line breaks.
    """

    def __init__(
        self, redis: Redis, keyspace: Keyspace, owner: Callable[[], str], quarantine: Quarantine,
        counts: StoreCounts,
    ) -> None:
        self._redis = redis
        self._keyspace = keyspace
        self._owner = owner
        self._quarantine = quarantine
        self._counts = counts

    async def add(self, channel: str, client: str, info: ClientInfo, ttl: float) -> None:
        """Record or renew that a client is in a channel, for `ttl` seconds of Redis's clock."""
        keys, owner = self._keyspace.of(channel), self._owner()
        members = self._keyspace.members(keys.partition, owner)
        await self._call(
            ADD_PRESENCE, (keys.entries, keys.until, members),
            (client, owner, pack_client(info), milliseconds(ttl), member_of(channel, client)),
        )

    async def remove(self, channel: str, client: str) -> None:
        """Record that a client left a channel."""
        keys = self._keyspace.of(channel)
        members = self._keyspace.members(keys.partition, self._owner())
        await self._call(
            REMOVE_PRESENCE, (keys.entries, keys.until, members),
            (client, member_of(channel, client)),
        )

    async def read(self, channel: str) -> Mapping[str, ClientInfo]:
        """Return client id -> info of everybody in the channel; garbage is left out."""
        keys = self._keyspace.of(channel)
        reply = await self._call(READ_PRESENCE, (keys.entries, keys.until), ())
        present: dict[str, ClientInfo] = {}
        for client, entry in zip(reply[1::2], reply[2::2], strict=True):
            info = open_presence(entry)
            if info is None:
                self._counts.garbage += 1
                log.error("store.corrupt", channel=channel, client=repr(client))
            else:
                present[client.decode("utf-8", "replace")] = info
        return present

    async def announce(self, channel: str, info: ClientInfo, joined: bool) -> None:
        """Fan out a join or leave; who announced a join leaves audibly if its node dies."""
        keys = self._keyspace.of(channel)
        message = join_or_leave(info, joined)
        if joined:
            await self._call(
                ANNOUNCE, (keys.entries, keys.shard), (message, info.client), role=Role.PUBLISH
            )
        else:
            with refusals():
                await self._redis.execute(
                    "SPUBLISH", keys.shard, message, key=keys.shard, role=Role.PUBLISH
                )

    async def evict(self, owner: str, batch: int) -> Sequence[tuple[str, ClientInfo]]:
        """Remove the clients of a dead owner from all channels, in the step that announces it.

        Returns channel and info of those that had not announced a join, so that their leaving was
        not announced either. It may be called again, and by several nodes at once: each client is
        removed once. Who came back through another node meanwhile stays.

        :param batch: clients removed in one step of Redis.
        """
        silent: list[tuple[str, ClientInfo]] = []
        for partition in range(self._keyspace.partitions):
            key = self._keyspace.members(partition, owner)
            while members := await self._some_members(key, batch):
                for channel, clients in self._by_channel(members).items():
                    silent += await self._evict(channel, clients, owner)
                garbage = [each for each in members if _split(each) is None]
                if garbage:
                    self._counts.garbage += len(garbage)
                    with refusals():
                        await self._redis.execute("SREM", key, *garbage, key=key)
        return silent

    async def _evict(
        self, channel: str, clients: Sequence[str], owner: str
    ) -> Iterator[tuple[str, ClientInfo]]:
        keys = self._keyspace.of(channel)
        args: list[str | bytes] = [owner]
        for client in clients:
            args += (client, member_of(channel, client))
        members = self._keyspace.members(keys.partition, owner)
        reply = await self._call(
            EVICT_PRESENCE, (keys.entries, keys.until, members, keys.shard), args,
            role=Role.PUBLISH,
        )
        infos = map(open_client, reply[2::2])
        return ((channel, info) for info in infos if info is not None)

    async def _some_members(self, key: bytes, batch: int) -> list[bytes]:
        with refusals():
            kind = await self._redis.execute("TYPE", key, key=key)
            if kind in (b"none", "none"):
                return []
            if kind not in (b"set", "set"):
                await self._quarantine.put_aside(key)
                return []
            return list(await self._redis.execute("SRANDMEMBER", key, batch, key=key))

    def _by_channel(self, members: Sequence[bytes]) -> dict[str, list[str]]:
        channels: dict[str, list[str]] = {}
        for each in members:
            found = _split(each)
            if found is not None:
                channels.setdefault(found[0], []).append(found[1])
        return channels

    async def _call(
        self, script: Script, keys: Sequence[bytes], args: Sequence[bytes | str | int], *,
        role: Role = Role.COMMANDS,
    ) -> list[Any]:
        for _ in range(TRIES):
            with refusals():
                reply: list[Any] = await self._redis.call(script, keys, args, role=role)
            if reply[0] >= 0:
                return reply
            # Entries and their times belong together.
            wrong = keys[:2] if reply[1] <= 2 and script is not ANNOUNCE else (keys[reply[1] - 1],)
            await self._quarantine.put_aside(*wrong)
        raise StoreUnavailable("what is stored of presence is corrupt")


def _split(member: bytes) -> tuple[str, str] | None:
    try:
        return split_member(member)
    except ValueError:
        return None
