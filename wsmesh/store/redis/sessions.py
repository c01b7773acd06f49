"""Sessions in Redis: a hash each, changed by scripts that compare epochs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from zlib import crc32

import msgspec
import structlog
import trio

from wsmesh.store.redis.client import Redis, Role
from wsmesh.store.redis.scripts import load_script
from wsmesh.store.sessions import Claim, SessionEntry, SessionRecord

log = structlog.get_logger("wsmesh.sessions")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SessionRecord).decode


class RedisSessions:
    """Implements `wsmesh.store.sessions.SessionStore`.

    :param prefix: `[redis] prefix`.
    :param partitions: `[redis] partitions`; sessions are spread over the cluster's slots by it.
    """

    def __init__(self, redis: Redis, prefix: str, partitions: int) -> None:
        self._redis = redis
        self._prefix = prefix
        self._partitions = partitions

    async def save_session(self, session: str, entry: SessionEntry, ttl: float) -> bool:
        """Write an entry; False when a later epoch owns the session."""
        args = (
            entry.epoch, entry.digest, entry.user, entry.owner, _encode(entry.record), _ms(ttl),
        )  # fmt: skip
        return bool(await self._redis.call(_SAVE, (self._key(session),), args))

    async def claim_session(
        self, session: str, digest: str, user: str, owner: str, new_digest: str, ttl: float
    ) -> Claim | None:
        """Make `owner` the owner, in the next epoch, and change the secret."""
        args = (digest, user, owner, new_digest, _ms(ttl))
        answer = await self._redis.call(_CLAIM, (self._key(session),), args)
        if not answer:
            return None
        epoch, previous, written = answer
        try:
            record = _decode(written)
        except (msgspec.DecodeError, RecursionError) as error:
            log.error("session.corrupt", error=str(error))
            return None
        entry = SessionEntry(
            user=user, digest=new_digest, owner=owner, epoch=int(epoch), record=record
        )
        return Claim(entry, previous.decode("utf-8", "replace"))

    async def close_session(self, session: str, epoch: int) -> None:
        """Forget a session, unless a later epoch owns it."""
        await self._redis.call(_CLOSE, (self._key(session),), (epoch,))

    async def renew_sessions(
        self, tenures: Sequence[tuple[str, int]], ttl: float
    ) -> tuple[list[str], list[str]]:
        """Keep sessions for `ttl` more seconds, all in one pipeline."""
        outcomes: dict[str, object] = {}
        done = trio.Event()

        def settle(session: str, outcome: object) -> None:
            outcomes[session] = outcome
            if len(outcomes) == len(tenures):
                done.set()

        for session, epoch in tenures:
            self._redis.call_nowait(
                _RENEW, (self._key(session),), (epoch, _ms(ttl)), partial(settle, session),
                role=Role.COMMANDS,
            )
        if tenures:
            await done.wait()
        for outcome in outcomes.values():
            if isinstance(outcome, Exception):
                raise outcome
        fenced = [session for session, outcome in outcomes.items() if outcome == 0]
        return fenced, [session for session, outcome in outcomes.items() if outcome == -1]

    def _key(self, session: str) -> bytes:
        name = session.encode()
        return b"%s:{%d}:session:%s" % (
            self._prefix.encode(), crc32(name) % self._partitions, name
        )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


_SAVE, _CLAIM, _CLOSE, _RENEW = (
    load_script(name)
    for name in ("session_save", "session_claim", "session_close", "session_renew")
)
