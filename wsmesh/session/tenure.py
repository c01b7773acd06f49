"""Sessions that outlive their connection and their node: what this node serves of them.

Clients that ask for it get a session and a secret. What the session has is written behind the
client's back, whenever it changes; a node that finds a later owner in the store ends its own
connection. Official SDKs do not ask: they carry positions, and subscribe again themselves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Protocol
from uuid import uuid4

import structlog
import trio
from msgspec import UNSET

from wsmesh.errors import Disconnect, StoreUnavailable
from wsmesh.protocol import codes
from wsmesh.security.claims import NO_OVERRIDE
from wsmesh.session.subscription import Subscription
from wsmesh.store.sessions import (
    Claim,
    HeldSubscription,
    SessionEntry,
    SessionRecord,
    SessionStore,
    digest_of,
)

AT_ONCE = 256
"""Entries written at the same time, and sessions renewed in one pipeline."""
RETRY = 1.0
"""Seconds between attempts to write while the store is away."""

log = structlog.get_logger("wsmesh.tenure")

OUTCOMES = ("continued", "taken_over", "refused", "unavailable")
"""Of an attempt to resume: where the session was, from another node, denied, the store is away."""

Fence = Callable[[str, str, int], None]
"""Tells the former owner, `node/incarnation`, that a session has a later epoch now."""


class Continued(Protocol):
    """What is needed of a session that can be continued."""

    client: str
    user: str
    subscriptions: dict[str, Subscription]
    tenure: Tenure | None
    is_over: bool

    def end(self, why: Disconnect) -> None:
        """Disconnect the client."""


class Tenure:
    """One session that this node owns.

    :param given: channels that every connect gives the client anyway, not written down.
    """

    __slots__ = ("digest", "epoch", "given", "name", "session")

    def __init__(self, session: Continued, name: str, digest: str, epoch: int) -> None:
        self.session = session
        self.name = name
        self.digest = digest
        self.epoch = epoch
        self.given: frozenset[str] = frozenset()


class Tenures:
    """All sessions that this node owns.

    :param owner: returns `node/incarnation` of this node as it is now.
    :param ttl: seconds a session can be continued after its node was killed.
    :ivar resumptions: attempts to resume a session here, by outcome.
    """

    def __init__(
        self, store: SessionStore, owner: Callable[[], str], ttl: float, fence: Fence
    ) -> None:
        self._store = store
        self._owner = owner
        self._ttl = ttl
        self._fence = fence
        self.resumptions = dict.fromkeys(OUTCOMES, 0)
        self._by_name: dict[str, Tenure] = {}
        self._changed: dict[Tenure, None] = {}
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._by_name)

    def begin(self, session: Continued) -> tuple[Tenure, str]:
        """Make a session continuable; return its tenure and the secret for its client."""
        secret = secrets.token_urlsafe(32)
        return self._hold(Tenure(session, str(uuid4()), digest_of(secret), 1)), secret

    async def resume(
        self, session: Continued, user: str, name: str, secret: str
    ) -> tuple[Tenure, str, Claim] | None:
        """Claim a session for a client of `user`; None when nobody may continue it so.

        Whoever served it before stops doing so.
        """
        owner = self._owner()
        new_secret = secrets.token_urlsafe(32)
        try:
            claim = await self._store.claim_session(
                name, digest_of(secret), user, owner, digest_of(new_secret), self._ttl
            )
        except StoreUnavailable:
            self.resumptions["unavailable"] += 1
            raise
        if claim is None:
            self.resumptions["refused"] += 1
            return None
        epoch = claim.entry.epoch
        if claim.previous_owner == owner:
            self.resumptions["continued"] += 1
            self.fence(name, epoch)
        else:
            self.resumptions["taken_over"] += 1
            self._fence(claim.previous_owner, name, epoch)
        tenure = self._hold(Tenure(session, name, claim.entry.digest, epoch))
        return tenure, new_secret, claim

    def fence(self, name: str, epoch: int) -> None:
        """Stop serving a session that has this later epoch elsewhere."""
        tenure = self._by_name.get(name)
        if tenure is not None and tenure.epoch < epoch:
            self._lose(tenure)

    def changed(self, tenure: Tenure) -> None:
        """The session has other subscriptions now: write it down soon."""
        self._changed[tenure] = None
        self._wake.set()

    def drop(self, tenure: Tenure) -> None:
        """The connection is over; the session stays in the store until its time is over."""
        self._changed.pop(tenure, None)
        if self._by_name.get(tenure.name) is tenure:
            del self._by_name[tenure.name]

    async def close(self, tenure: Tenure) -> None:
        """The client will not come back: nobody may continue the session."""
        await self._store.close_session(tenure.name, tenure.epoch)

    async def run(self) -> None:
        """Write down what changes and keep what is served, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_changes)
            nursery.start_soon(self._renew)

    def _hold(self, tenure: Tenure) -> Tenure:
        self._by_name[tenure.name] = tenure
        self.changed(tenure)
        return tenure

    def _lose(self, tenure: Tenure) -> None:
        self.drop(tenure)
        tenure.session.tenure = None
        tenure.session.end(codes.TAKEN_OVER)

    async def _write_changes(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            waiting, self._changed = self._changed, {}
            unsaved: list[Tenure] = []
            for batch in _batches(list(waiting)):
                async with trio.open_nursery() as nursery:
                    for tenure in batch:
                        nursery.start_soon(self._save, tenure, unsaved)
            if unsaved:
                await trio.sleep(RETRY)
                for tenure in unsaved:
                    if self._by_name.get(tenure.name) is tenure:
                        self.changed(tenure)

    async def _save(self, tenure: Tenure, unsaved: list[Tenure]) -> None:
        session = tenure.session
        entry = SessionEntry(
            user=session.user, digest=tenure.digest, owner=self._owner(), epoch=tenure.epoch,
            record=_record(session, tenure.given),
        )
        try:
            is_ours = await self._store.save_session(tenure.name, entry, self._ttl)
        except StoreUnavailable as error:
            log.warning("session.not_saved", error=str(error))
            unsaved.append(tenure)
            return
        if not is_ours:
            self._lose(tenure)

    async def _renew(self) -> None:
        while True:
            await trio.sleep(self._ttl / 3)
            for batch in _batches(list(self._by_name.values())):
                served = {tenure.name: tenure for tenure in batch}
                try:
                    fenced, unknown = await self._store.renew_sessions(
                        [(tenure.name, tenure.epoch) for tenure in batch], self._ttl
                    )
                except StoreUnavailable as error:
                    log.warning("session.not_renewed", error=str(error))
                    break
                for name in fenced:
                    self._lose(served[name])
                for name in unknown:
                    self.changed(served[name])


def _batches(tenures: list[Tenure]) -> Iterator[list[Tenure]]:
    for start in range(0, len(tenures), AT_ONCE):
        yield [each for each in tenures[start : start + AT_ONCE] if not each.session.is_over]


def _record(session: Continued, given: frozenset[str]) -> SessionRecord:
    held = {}
    for channel, subscription in session.subscriptions.items():
        if channel in given or not subscription.is_live:
            continue
        grant = subscription.grant
        held[channel] = HeldSubscription(
            info=subscription.info.chan_info if grant is not None else UNSET,
            expire_at=subscription.expire_at,
            is_granted=grant is not None,
            is_server_side=subscription.is_server_side,
            override=NO_OVERRIDE if grant is None else grant.override,
        )
    return SessionRecord(client=session.client, subscriptions=held)
