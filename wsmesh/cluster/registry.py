"""The nodes of the cluster as Redis knows them: leases by its clock, accusations, verdicts.

Redis is where nodes meet and agree, never how they notice that one is gone: a lease that runs out
is evidence, the verdict needs an accuser as well (`scripts/node_accuse.lua`), so that an outage of
Redis, after which every lease has run out, condemns nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import structlog
from attrs import field, frozen
from redis.exceptions import ResponseError

from wsmesh.cluster.nodes import Identity, MalformedRecord, decode_record
from wsmesh.cluster.view import Listed, Listing
from wsmesh.store.redis.client import Redis
from wsmesh.store.redis.scripts import Script, load_script

log = structlog.get_logger("wsmesh.registry")

_KINDS = (b"hash", b"zset", b"zset", b"string", b"set", b"hash", b"zset")

PARTITION = "cluster"
"""Hash tag of the registry's keys: one slot, so that a script sees all of them."""


@frozen
class Roll:
    """Everybody in the registry, as one beat found it.

    :param remains: dead nodes whose presence and other remains have to be cleaned up.
    :param releases: which share of its weight a release has; those it does not name have all.
    """

    listing: Listing
    remains: tuple[Identity, ...]
    releases: Mapping[str, float] = field(factory=dict)


class Verdict(Enum):
    """What became of an accusation."""

    DEAD = "dead"
    ACCUSED = "accused"
    VOID = "void"


class Condemned(Exception):
    """This incarnation was declared dead: the node must stop serving and join as a new one."""


class NodeRegistry:
    """Reads and writes the registry; every function raises `StoreUnavailable` without Redis.

    :param prefix: `[redis] prefix`.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        nodes, leases, dead, version, cleanup, releases, before, self._accusations = (
            f"{prefix}:{{{PARTITION}}}:{name}".encode()
            for name in (
                "nodes", "leases", "dead", "version", "cleanup", "releases", "releases_before",
                "accusations",
            )
        )
        self._keys = (nodes, leases, dead, version, cleanup)
        self._releases = (releases, before, version)
        self._cleanup = cleanup
        self._secret = f"{prefix}:{{{PARTITION}}}:secret".encode()

    async def beat(
        self, who: Identity, record: bytes, lease: float, *, has_changed: bool
    ) -> Roll:
        """Renew this node's lease and return everybody.

        :param lease: seconds, `[node] node_timeout`.
        :param has_changed: others should look at the record now, not at their next beat.
        :raises Condemned: this incarnation is dead.
        """
        args = (str(who), record, round(lease * 1000), int(has_changed))
        answer = await self._call(_BEAT, (*self._keys, self._releases[0]), args)
        if answer[0] == b"dead":
            raise Condemned(f"node {who.node} was declared dead in incarnation {who.incarnation}")
        return _roll(*answer[1:])

    async def read(self) -> Roll:
        """Return everybody without being one of them."""
        answer = await self._call(_BEAT, (*self._keys, self._releases[0]), ("", "", 0, 0))
        return _roll(*answer[1:])

    async def set_releases(self, shares: Mapping[str, float]) -> Mapping[str, float]:
        """Set which share of its weight each release has; without any, undo the last setting."""
        args = [word for name, share in shares.items() for word in (name, f"{share:.6g}")]
        return _shares(await self._redis.call(_RELEASES, self._releases, args))

    async def leave(self, who: Identity) -> None:
        """Take this node out; its remains are cleaned up by the others."""
        await self._call(_LEAVE, self._keys, (str(who),))

    async def accuse(
        self, accused: Identity, accuser: Identity, *, needed: int, window: float, refused: bool,
        alone: bool,
    ) -> Verdict:
        """Say that a node does not answer.

        :param needed: accusers for a verdict, `[cluster] accusers`.
        :param window: seconds an accusation counts.
        :param refused: its host answers and nobody listens there.
        :param alone: the accuser knows of no third node. After an outage of the store every other
            lease has run out, and the registry alone could not tell.
        """
        args = (
            str(accused), str(accuser), needed, round(window * 1000), int(refused), int(alone),
        )  # fmt: skip
        answer = await self._call(_ACCUSE, (*self._keys, self._accusations), args)
        return Verdict(answer[0].decode())

    async def absolve(self, accused: Identity, accuser: Identity) -> None:
        """Withdraw an accusation."""
        args = (str(accused), str(accuser))
        await self._call(_ABSOLVE, (self._accusations,), args)

    async def _call(
        self, script: Script, keys: Sequence[bytes], args: Sequence[bytes | str | int]
    ) -> Any:
        try:
            return await self._redis.call(script, keys, args)
        except ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
            known = (*self._keys, self._releases[0], self._accusations)
            for key, kind in zip(known, _KINDS, strict=True):
                found = await self._redis.execute("TYPE", key, key=key)
                if found not in (kind, b"none"):
                    # What the registry holds is told again by every node within one beat.
                    log.error("registry.corrupt", key=key.decode(), type=found.decode())
                    await self._redis.execute("DEL", key, key=key)
            return await self._redis.call(script, keys, args)

    async def cleaned_up(self, who: Identity) -> None:
        """Nothing of a dead node is left."""
        await self._redis.execute("SREM", self._cleanup, str(who), key=self._cleanup)

    async def shared_secret(self, proposal: bytes) -> bytes:
        """Return the secret that the first node put here, for clusters that configure none."""
        await self._redis.execute("SET", self._secret, proposal, "NX", key=self._secret)
        secret = await self._redis.execute("GET", self._secret, key=self._secret)
        return bytes(secret)


def _identity(name: bytes) -> Identity | None:
    node, _, incarnation = name.decode("utf-8", "replace").rpartition("/")
    return Identity(node, int(incarnation)) if node and incarnation.isdecimal() else None


def _identities(names: Sequence[bytes]) -> tuple[Identity, ...]:
    return tuple(found for name in names if (found := _identity(name)) is not None)


def _shares(flat: Sequence[bytes]) -> dict[str, float]:
    found = {}
    for name, share in zip(flat[::2], flat[1::2], strict=True):
        try:
            found[name.decode()] = min(max(float(share), 0.0), 1.0)
        except ValueError:
            log.warning("registry.malformed_share", release=str(name)[:80])
    return found


def _roll(
    version: int, members: Sequence[bytes | int], dead: Sequence[bytes],
    remains: Sequence[bytes], releases: Sequence[bytes],
) -> Roll:
    listed = []
    for name, text, left in zip(members[::3], members[1::3], members[2::3], strict=True):
        assert isinstance(text, bytes)
        try:
            record = decode_record(text)
        except MalformedRecord as error:
            log.warning("registry.malformed_record", node=str(name)[:80], error=str(error)[:200])
            continue
        if str(record.identity).encode() == name:
            listed.append(Listed(record=record, lease=int(left) / 1000))
    listed.sort(key=lambda each: each.record.identity)
    listing = Listing(version=int(version), nodes=tuple(listed), dead=_identities(dead))
    return Roll(listing, _identities(remains), _shares(releases))


_BEAT, _LEAVE, _ACCUSE, _ABSOLVE, _RELEASES = (
    load_script(__package__, name)
    for name in ("node_beat", "node_leave", "node_accuse", "node_absolve", "releases_set")
)
