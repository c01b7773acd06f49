"""What is kept of a session so that any node can continue it; memory and Redis keep it alike.

An entry is written when it changes, never when its client leaves, so that it outlives a node that
is killed. It belongs to one node at a time: whoever claims it raises its epoch, and what a former
owner still writes is rejected (Kleppmann's fencing tokens, "How to do distributed locking", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol

from attrs import frozen
from msgspec import UNSET, Raw, Struct, UnsetType

from wsmesh.security.claims import NO_OVERRIDE, Override


class HeldSubscription(Struct, frozen=True, omit_defaults=True):
    """A subscription of a session, as far as it cannot be derived from its channel.

    :param info: JSON shown to others in presence.
    :param expire_at: Unix time until which it was granted, 0 for ever.
    :param is_granted: a token or a hook allowed it, so that the channel's rules are not asked.
    :param is_server_side: the server created it.
    :param override: channel options that the grant set.
    """

    info: Raw | UnsetType = UNSET
    expire_at: float = 0.0
    is_granted: bool = False
    is_server_side: bool = False
    override: Override = NO_OVERRIDE


class SessionRecord(Struct, frozen=True, omit_defaults=True):
    """What a session has.

    :param client: the connection id it had last.
    :param subscriptions: by channel; positions are kept by the client.
    """

    client: str = ""
    subscriptions: dict[str, HeldSubscription] = {}


@frozen(slots=True, kw_only=True)
class SessionEntry:
    """A session as it is stored.

    :param digest: of the secret that whoever continues the session must know (`digest_of`).
    :param owner: `node/incarnation` that serves it.
    :param epoch: of the owner; counts claims from 1.
    """

    user: str
    digest: str
    owner: str
    epoch: int
    record: SessionRecord


@frozen(slots=True)
class Claim:
    """A session that now belongs to the claiming node, and whose it was."""

    entry: SessionEntry
    previous_owner: str


def digest_of(secret: str) -> str:
    """Return what is stored of a secret of 256 random bits: too many to be guessed from it."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


class SessionStore(Protocol):
    """Keeps sessions; every function raises `wsmesh.errors.StoreUnavailable` when it cannot."""

    async def save_session(self, session: str, entry: SessionEntry, ttl: float) -> bool:
        """Write an entry; False when a later epoch owns the session: stop serving it.

        :param ttl: seconds it is kept unless it is written or renewed.
        """

    async def claim_session(
        self, session: str, digest: str, user: str, owner: str, new_digest: str, ttl: float
    ) -> Claim | None:
        """Make `owner` the owner, in the next epoch, and change the secret.

        Of several claims with one secret, one succeeds. An unknown session, a wrong secret and
        another user's session are None alike.
        """

    async def close_session(self, session: str, epoch: int) -> None:
        """Forget a session whose client said goodbye, unless a later epoch owns it."""

    async def renew_sessions(
        self, tenures: Sequence[tuple[str, int]], ttl: float
    ) -> tuple[list[str], list[str]]:
        """Keep sessions, named with their epochs, for `ttl` more seconds.

        Returns those that a later epoch owns, and those that are not known (any more).
        """
