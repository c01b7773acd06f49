"""Sessions of a node that stands alone: gone with it, but not with a connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hmac import compare_digest

import trio
from attrs import evolve

from wsmesh.store.agenda import Agenda
from wsmesh.store.sessions import Claim, SessionEntry

SWEEP_PERIOD = 5.0
SWEEP_LIMIT = 1_000


class MemorySessions:
    """Implements `wsmesh.store.sessions.SessionStore`.

    :param clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[SessionEntry, float]] = {}
        self._ending = Agenda()

    def __len__(self) -> int:
        return len(self._entries)

    async def save_session(self, session: str, entry: SessionEntry, ttl: float) -> bool:
        """Write an entry; False when a later epoch owns the session."""
        await trio.lowlevel.checkpoint()
        known = self._find(session)
        if known is not None and known.epoch > entry.epoch:
            return False
        self._keep(session, entry, ttl)
        return True

    async def claim_session(
        self, session: str, digest: str, user: str, owner: str, new_digest: str, ttl: float
    ) -> Claim | None:
        """Make `owner` the owner, in the next epoch, and change the secret."""
        await trio.lowlevel.checkpoint()
        known = self._find(session)
        if known is None or not compare_digest(known.digest, digest) or known.user != user:
            return None
        entry = evolve(known, owner=owner, epoch=known.epoch + 1, digest=new_digest)
        self._keep(session, entry, ttl)
        return Claim(entry, known.owner)

    async def close_session(self, session: str, epoch: int) -> None:
        """Forget a session, unless a later epoch owns it."""
        await trio.lowlevel.checkpoint()
        known = self._find(session)
        if known is not None and known.epoch <= epoch:
            del self._entries[session]

    async def renew_sessions(
        self, tenures: Sequence[tuple[str, int]], ttl: float
    ) -> tuple[list[str], list[str]]:
        """Keep sessions for `ttl` more seconds."""
        await trio.lowlevel.checkpoint()
        fenced, unknown = [], []
        for session, epoch in tenures:
            known = self._find(session)
            if known is None:
                unknown.append(session)
            elif known.epoch > epoch:
                fenced.append(session)
            else:
                self._keep(session, evolve(known, epoch=epoch), ttl)
        return fenced, unknown

    async def run(self) -> None:
        """Free the memory of sessions that have ended, until cancelled."""
        while True:
            await trio.sleep(SWEEP_PERIOD)
            now = self._clock()
            for _ in range(SWEEP_LIMIT):
                session = self._ending.take(now)
                if session is None:
                    break
                if self._find(session) is not None:
                    self._ending.note(session, self._entries[session][1])

    def _find(self, session: str) -> SessionEntry | None:
        entry, ends_at = self._entries.get(session, (None, 0.0))
        if entry is not None and self._clock() >= ends_at:
            del self._entries[session]
            return None
        return entry

    def _keep(self, session: str, entry: SessionEntry, ttl: float) -> None:
        ends_at = self._clock() + ttl
        self._entries[session] = (entry, ends_at)
        self._ending.note(session, ends_at)
