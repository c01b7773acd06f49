"""What nodes share of users: how many connections they have, what they may send, revocations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from wsmesh.security.rate import Rate


class UserStore(Protocol):
    """Keeps it; every function raises `wsmesh.errors.StoreUnavailable` when it cannot."""

    async def admit_connection(
        self, user: str, client: str, owner: str, *, limit: int, ttl: float,
        gone: Sequence[str] = (),
    ) -> tuple[bool, frozenset[str]]:
        """Count a connection of a user, unless that has as many as it may.

        :param owner: `node/incarnation` that serves it.
        :param ttl: seconds until it counts no more, unless it is renewed.
        :param gone: owners whose connections count no more.
        :return: whether it was counted, and who serves those that were counted before.
        """

    async def renew_connections(
        self, connections: Sequence[tuple[str, str]], owner: str, ttl: float
    ) -> None:
        """Let connections, each a user and a client, count for `ttl` more seconds."""

    async def end_connections(self, connections: Sequence[tuple[str, str, str]]) -> None:
        """Count connections, each a user, a client and its owner, no more."""

    async def lease_messages(self, user: str, want: int, rate: Rate) -> Lease:
        """Take up to `want` messages out of what a user may send on all nodes together."""

    async def add_revocation(self, entry: bytes, until: float) -> None:
        """Keep what is revoked, for every node.

        :param until: Unix time, when it may be forgotten.
        :raises RevocationsFull: too many are in force.
        """

    async def revocations(self, since: int = 0) -> Revoked:
        """Return what was added after version `since`; 0: all that is in force."""


@frozen(slots=True)
class Lease:
    """So many messages a user may send here; with none, seconds until there is one again."""

    granted: int
    wait: float = 0.0


@frozen(slots=True)
class Revoked:
    """Entries, as they were added, and the version to ask from next time."""

    version: int
    entries: tuple[bytes, ...]
