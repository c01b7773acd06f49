"""What every session store must do: a test class per store inherits `SessionContract`."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from uuid import uuid4

import trio
from attrs import evolve, frozen
from msgspec import Raw

from wsmesh.security.claims import Override
from wsmesh.store.sessions import (
    Claim,
    HeldSubscription,
    SessionEntry,
    SessionRecord,
    SessionStore,
    digest_of,
)

TTL = 5.0
SECRETS = [digest_of(str(number)) for number in range(40)]
RECORD = SessionRecord(
    client="c1",
    subscriptions={
        "news": HeldSubscription(),
        "chat": HeldSubscription(
            info=Raw(b'{"name":"Ann"}'), expire_at=5.5, is_granted=True, is_server_side=True,
            override=Override(presence=True),
        ),
    },
)
ENTRY = SessionEntry(user="ann", digest=SECRETS[0], owner="a/1", epoch=1, record=RECORD)


@frozen(eq=False)
class Shared:
    """One store of sessions as two nodes have it.

    :param lapse: lets seconds pass.
    """

    here: SessionStore
    there: SessionStore
    lapse: Callable[[float], Awaitable[None]]


class SessionContract:
    """Inherited by a test class with a fixture `shared`."""

    async def test_a_claim_continues_what_was_saved_under_the_next_epoch(
        self, shared: Shared
    ) -> None:
        name = str(uuid4())
        assert await shared.here.save_session(name, ENTRY, TTL)
        claim = await shared.there.claim_session(name, SECRETS[0], "ann", "b/1", SECRETS[1], TTL)
        assert claim == Claim(evolve(ENTRY, owner="b/1", epoch=2, digest=SECRETS[1]), "a/1")

    async def test_unknown_session_wrong_secret_and_foreign_user_are_answered_alike(
        self, shared: Shared
    ) -> None:
        name = str(uuid4())
        await shared.here.save_session(name, ENTRY, TTL)
        store = shared.there
        assert await store.claim_session("none", SECRETS[0], "ann", "b/1", SECRETS[1], TTL) is None
        assert await store.claim_session(name, SECRETS[2], "ann", "b/1", SECRETS[1], TTL) is None
        assert await store.claim_session(name, SECRETS[0], "bob", "b/1", SECRETS[1], TTL) is None
        assert await store.claim_session(name, SECRETS[0], "ann", "b/1", SECRETS[1], TTL)

    async def test_a_secret_works_once_however_many_try_at_once(self, shared: Shared) -> None:
        name = str(uuid4())
        await shared.here.save_session(name, ENTRY, TTL)
        claims: list[Claim | None] = []

        async def attempt(store: SessionStore, number: int) -> None:
            claims.append(
                await store.claim_session(
                    name, SECRETS[0], "ann", f"n{number}/1", SECRETS[number], TTL
                )
            )

        async with trio.open_nursery() as nursery:
            for number in range(1, 17):
                nursery.start_soon(
                    attempt, (shared.here, shared.there)[number % 2], number
                )
        assert len(claims) == 16
        assert sum(claim is not None for claim in claims) == 1

    async def test_a_former_owner_is_fenced_and_writes_nothing(self, shared: Shared) -> None:
        name = str(uuid4())
        await shared.here.save_session(name, ENTRY, TTL)
        await shared.there.claim_session(name, SECRETS[0], "ann", "b/1", SECRETS[1], TTL)
        late = evolve(ENTRY, record=SessionRecord(client="zombie"))
        assert not await shared.here.save_session(name, late, TTL)
        assert await shared.here.renew_sessions([(name, 1)], TTL) == ([name], [])
        await shared.here.close_session(name, 1)
        again = await shared.here.claim_session(name, SECRETS[1], "ann", "a/2", SECRETS[2], TTL)
        assert again is not None
        assert again.entry.record == RECORD
        assert (again.entry.epoch, again.previous_owner) == (3, "b/1")

    async def test_a_session_is_kept_for_its_time_and_renewing_extends_it(
        self, shared: Shared
    ) -> None:
        kept, lost = str(uuid4()), str(uuid4())
        for name in (kept, lost):
            await shared.here.save_session(name, ENTRY, 2.0)
        await shared.lapse(1.2)
        assert await shared.here.renew_sessions([(kept, 1)], 2.0) == ([], [])
        await shared.lapse(1.2)
        assert await shared.here.renew_sessions([(lost, 1), (kept, 1)], TTL) == ([], [lost])
        assert await shared.there.claim_session(lost, SECRETS[0], "ann", "b", SECRETS[1], 1) is None
        assert await shared.there.claim_session(kept, SECRETS[0], "ann", "b", SECRETS[1], TTL)

    async def test_a_closed_session_cannot_be_continued(self, shared: Shared) -> None:
        name = str(uuid4())
        await shared.here.save_session(name, ENTRY, TTL)
        await shared.here.close_session(name, 1)
        claim = await shared.there.claim_session(name, SECRETS[0], "ann", "b", SECRETS[1], TTL)
        assert claim is None
        assert await shared.here.renew_sessions([], TTL) == ([], [])

    async def test_an_owner_raises_an_epoch_that_a_failover_took_back(
        self, shared: Shared
    ) -> None:
        name = str(uuid4())
        await shared.here.save_session(name, evolve(ENTRY, epoch=3), TTL)
        assert await shared.there.renew_sessions([(name, 7)], TTL) == ([], [])
        assert not await shared.here.save_session(name, evolve(ENTRY, epoch=6), TTL)

    async def test_an_epoch_never_has_two_owners_nor_goes_back(self, shared: Shared) -> None:
        """Four clients of one session act on what each last knew (property 25 of fencing)."""
        rng = random.Random(25)
        for _ in range(40):
            steps = [
                (rng.choice(["claim", "save", "renew", "close"]), rng.randrange(4))
                for _ in range(rng.randrange(24))
            ]
            await self._follow(shared, steps)

    async def _follow(self, shared: Shared, steps: list[tuple[str, int]]) -> None:
        name = str(uuid4())
        await shared.here.save_session(name, ENTRY, 60.0)
        held = [ENTRY] * 4
        owners = {1: "a/1"}
        newest = 1
        is_closed = False
        for number, (step, who) in enumerate(steps):
            store = (shared.here, shared.there)[who % 2]
            mine = held[who]
            is_current = mine.epoch == newest
            if step == "claim" and not is_closed:
                claim = await store.claim_session(
                    name, mine.digest, "ann", f"n{who}/1", SECRETS[number + 1], 60.0
                )
                assert (claim is not None) == is_current
                if claim is not None:
                    assert claim.entry.epoch == newest + 1
                    assert claim.previous_owner == owners[newest]
                    newest += 1
                    owners[newest] = f"n{who}/1"
                    held[who] = claim.entry
            elif step == "save" and not is_closed:
                assert await store.save_session(name, mine, 60.0) == is_current
            elif step == "renew" and not is_closed:
                expected: tuple[list[str], list[str]] = ([], []) if is_current else ([name], [])
                assert await store.renew_sessions([(name, mine.epoch)], 60.0) == expected
            elif step == "close" and not is_closed:
                await store.close_session(name, mine.epoch)
                is_closed = is_current
