"""Users in Redis: connections as sorted sets, rates as one number each, revocations by version."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from zlib import crc32

import trio

from wsmesh.security.rate import Rate
from wsmesh.security.revocation import RevocationsFull
from wsmesh.store.redis.client import Redis, Role
from wsmesh.store.redis.scripts import Script, load_script
from wsmesh.store.users import Lease, Revoked

MOST_REVOCATIONS = 100_000
"""In force at the same time, as many as a node holds."""

AT_ONCE = 1000
"""Revocations in one answer."""

_MICROSECONDS = 1_000_000


class RedisUsers:
    """Implements `wsmesh.store.users.UserStore`.

    :param prefix: `[redis] prefix`.
    :param partitions: `[redis] partitions`; users are spread over the cluster's slots by it.
    """

    def __init__(self, redis: Redis, prefix: str, partitions: int) -> None:
        self._redis = redis
        self._prefix = prefix.encode()
        self._partitions = partitions
        self._revocation_keys = tuple(
            b"%s:{cluster}:revocations:%s" % (self._prefix, part)
            for part in (b"ends", b"order", b"version")
        )

    async def admit_connection(
        self, user: str, client: str, owner: str, *, limit: int, ttl: float,
        gone: Sequence[str] = (),
    ) -> tuple[bool, frozenset[str]]:
        """Count a connection of a user, unless that has as many as it may."""
        args: tuple[str | int, ...] = (owner, client, limit, _ms(ttl), *gone)
        is_admitted, *owners = await self._redis.call(
            _ADMIT, (self._key(user, b"connections"),), args
        )
        return bool(is_admitted), frozenset(each.decode("utf-8", "replace") for each in owners)

    async def renew_connections(
        self, connections: Sequence[tuple[str, str]], owner: str, ttl: float
    ) -> None:
        """Let connections count for `ttl` more seconds, all in one pipeline."""
        of_users: defaultdict[str, list[str]] = defaultdict(list)
        for user, client in connections:
            of_users[user].append(f"{owner} {client}")
        await self._of_each(_RENEW, {u: (_ms(ttl), *members) for u, members in of_users.items()})

    async def end_connections(self, connections: Sequence[tuple[str, str, str]]) -> None:
        """Count connections no more, all in one pipeline."""
        of_users: defaultdict[str, list[str]] = defaultdict(list)
        for user, client, owner in connections:
            of_users[user].append(f"{owner} {client}")
        await self._of_each(_END, {user: tuple(members) for user, members in of_users.items()})

    async def _of_each(self, script: Script, of_users: Mapping[str, tuple[str | int, ...]]) -> None:
        """Call a script for the connections of each user; all are sent before the first answer."""
        outcomes: list[object] = []
        done = trio.Event()

        def settle(outcome: object) -> None:
            outcomes.append(outcome)
            if len(outcomes) == len(of_users):
                done.set()

        for user, args in of_users.items():
            self._redis.call_nowait(
                script, (self._key(user, b"connections"),), args, settle,
                role=Role.COMMANDS, idempotent=True,
            )
        if of_users:
            await done.wait()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def lease_messages(self, user: str, want: int, rate: Rate) -> Lease:
        """Take up to `want` messages out of what a user may send on all nodes together."""
        args = (
            max(1, round(rate.interval * _MICROSECONDS)),
            round(rate.tolerance * _MICROSECONDS), want,
        )
        granted, wait = await self._redis.call(_LEASE, (self._key(user, b"rate"),), args)
        return Lease(granted, wait / _MICROSECONDS)

    async def add_revocation(self, entry: bytes, until: float) -> None:
        """Keep what is revoked, for every node."""
        args = (entry, _ms(until), MOST_REVOCATIONS)
        if not await self._redis.call(_REVOKE, self._revocation_keys, args, idempotent=True):
            raise RevocationsFull(f"{MOST_REVOCATIONS} revocations are in force")

    async def revocations(self, since: int = 0) -> Revoked:
        """Return what was added after version `since`, in as many calls as it takes."""
        entries: list[bytes] = []
        while True:
            version, *found = await self._redis.call(
                _READ, self._revocation_keys, (since, AT_ONCE), idempotent=True
            )
            entries += found
            if version <= since:
                return Revoked(since, tuple(entries))
            since = version

    def _key(self, user: str, what: bytes) -> bytes:
        name = user.encode("utf-8", "surrogatepass")
        return b"%s:{%d}:user:%s:%s" % (
            self._prefix, crc32(name) % self._partitions, what, name
        )


def _ms(seconds: float) -> int:
    return max(1, round(min(seconds, 1e12) * 1000))


_ADMIT, _RENEW, _END, _LEASE, _REVOKE, _READ = (
    load_script(name)
    for name in (
        "user_admit", "user_renew", "user_end", "user_lease", "revocation_add", "revocation_read",
    )
)
