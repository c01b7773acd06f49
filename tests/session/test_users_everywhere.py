"""Limits and revocations of users hold on every node, whether it was there or not."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import jwt
import pytest
import trio
from trio.testing import MockClock

from tests.doubles.link import START, FakeLink, FakeNode, configured
from wsmesh.config.sections import ClientSection, TokenSection
from wsmesh.config.values import Secret
from wsmesh.errors import StoreUnavailable
from wsmesh.security.rate import Rate, granted
from wsmesh.session.headcount import TTL, Headcount
from wsmesh.session.peers import Alone
from wsmesh.session.revoking import EVERY, follow_revocations
from wsmesh.store.users import Lease, Revoked

SECRET = "a secret of at least thirty-two bytes"


class SharedUsers:
    """What a store keeps of users, for all nodes of a test."""

    def __init__(self, now: Callable[[], float] = trio.current_time) -> None:
        self.now = now
        self.is_away = False
        self.counted: dict[str, dict[tuple[str, str], float]] = {}
        self.revoked: list[bytes] = []
        self.tats: dict[str, float] = {}

    def _reached(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")

    async def admit_connection(
        self, user: str, client: str, owner: str, *, limit: int, ttl: float,
        gone: Sequence[str] = (),
    ) -> tuple[bool, frozenset[str]]:
        await trio.lowlevel.checkpoint()
        self._reached()
        of_user = self.counted.setdefault(user, {})
        for member, ends in tuple(of_user.items()):
            if ends <= self.now() or member[0] in gone:
                del of_user[member]
        others = {member for member in of_user if member != (owner, client)}
        owners = frozenset(each for each, _ in others)
        if len(others) >= limit:
            return False, owners
        of_user[owner, client] = self.now() + ttl
        return True, owners

    async def renew_connections(
        self, connections: Sequence[tuple[str, str]], owner: str, ttl: float
    ) -> None:
        self._reached()
        for user, client in connections:
            self.counted.setdefault(user, {})[owner, client] = self.now() + ttl

    async def end_connections(self, connections: Sequence[tuple[str, str, str]]) -> None:
        self._reached()
        for user, client, owner in connections:
            self.counted.get(user, {}).pop((owner, client), None)

    async def lease_messages(self, user: str, want: int, rate: Rate) -> Lease:
        self._reached()
        tat = self.tats.get(user, 0.0)
        count, self.tats[user] = granted(tat, self.now(), rate.interval, rate.tolerance, want)
        return Lease(count, 0.0 if count else tat - self.now() - rate.tolerance)

    async def add_revocation(self, entry: bytes, until: float) -> None:
        self._reached()
        self.revoked.append(entry)

    async def revocations(self, since: int = 0) -> Revoked:
        self._reached()
        return Revoked(len(self.revoked), tuple(self.revoked[since:]))


class Distant(Alone):
    """Nodes that live and cannot be asked."""

    def is_gone(self, owner: str) -> bool:
        return False


def node(name: str, users: SharedUsers, **client: Any) -> FakeNode:
    section = ClientSection(token=TokenSection(hmac_secret_key=Secret(SECRET)), **client)
    return FakeNode(
        configured(client={
            "token": section.token, "user_connection_limit": section.user_connection_limit,
        }),
        name=name, users=users, peers=Distant(),
    )


def token(user: str = "ann", **claims: Any) -> str:
    return jwt.encode({"sub": user, "iat": int(START) - 10, **claims}, SECRET, "HS256")


async def joined(here: FakeNode, **claims: Any) -> FakeLink:
    link = here.client()
    await link.ask(connect={"token": token(**claims)})
    return link


async def test_a_user_may_have_so_many_connections_on_all_nodes_together() -> None:
    users = SharedUsers()
    here, there = (node(name, users, user_connection_limit=2) for name in ("here", "there"))
    first, second = await joined(here), await joined(there)
    assert first.closed is None and second.closed is None
    third = await joined(here)
    assert third.closed is not None and third.closed[0] == 3504
    shown, _ = here.metrics.exposition("")
    assert b'wsmesh_limit_hits_total{limit="user_connections"} 1.0' in shown
    assert (await joined(here, user="bob")).closed is None


async def test_who_leaves_makes_room_on_every_node() -> None:
    users = SharedUsers()
    here, there = (node(name, users, user_connection_limit=1) for name in ("here", "there"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.services.headcount.run)
        await trio.testing.wait_all_tasks_blocked()
        first = await joined(here)
        await first.leave()
        await trio.testing.wait_all_tasks_blocked()
        assert (await joined(there)).closed is None
        nursery.cancel_scope.cancel()


async def test_while_the_store_is_away_each_node_counts_its_own() -> None:
    users = SharedUsers()
    here, there = (node(name, users, user_connection_limit=1) for name in ("here", "there"))
    users.is_away = True
    assert (await joined(here)).closed is None
    assert (await joined(there)).closed is None
    again = await joined(here)
    assert again.closed is not None and again.closed[0] == 3504


async def test_connections_are_renewed_and_gone_when_the_node_stops(
    autojump_clock: MockClock,
) -> None:
    users = SharedUsers()
    headcount = Headcount(users, lambda: "a/1", lambda owner: False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(headcount.run)
        assert await headcount.enter("ann", "c1", 1)
        await trio.sleep(3 * TTL)
        assert not await headcount.enter("ann", "c2", 1)
        users.is_away = True
        await trio.sleep(TTL / 2)
        users.is_away = False
        await trio.sleep(TTL / 2)
        assert not await headcount.enter("ann", "c2", 1)
        nursery.cancel_scope.cancel()
    assert users.counted == {"ann": {}}
    assert len(headcount) == 0


async def test_connections_of_a_dead_node_make_room_at_once(autojump_clock: MockClock) -> None:
    users = SharedUsers()
    dead = Headcount(users, lambda: "a/1", lambda owner: False)
    assert await dead.enter("ann", "c1", 1)
    suspicious = Headcount(users, lambda: "b/1", lambda owner: False)
    assert not await suspicious.enter("ann", "c2", 1)
    sure = Headcount(users, lambda: "b/1", lambda owner: owner == "a/1")
    assert await sure.enter("ann", "c2", 1)
    await trio.sleep(TTL + 1)
    assert await suspicious.enter("ann", "c3", 1), "nobody renewed it"


async def test_a_node_that_was_away_learns_what_was_revoked(autojump_clock: MockClock) -> None:
    users = SharedUsers()
    here, there = node("here", users), node("there", users)
    theirs = await joined(there)
    until = START + 3600
    await here.operations.revoke("ann", until=until)
    await here.operations.revoke_token("j1", until=until)
    assert theirs.closed is None, "nobody told it"
    late = node("late", users)
    async with trio.open_nursery() as nursery:
        for each in (there, late):
            nursery.start_soon(follow_revocations, users, each.clients)
        await trio.testing.wait_all_tasks_blocked()
        assert theirs.closed is not None and theirs.closed[0] == 3500
        for refused in (await joined(late), await joined(late, user="bob", jti="j1")):
            assert refused.closed is not None and refused.closed[0] == 3500
        users.is_away = True
        await trio.sleep(2 * EVERY)
        users.is_away = False
        await here.operations.revoke("bob", until=until)
        users.revoked += [b'{"order":"drain"}', b"garbage"]
        await trio.sleep(2 * EVERY)
        refused = await joined(there, user="bob")
        assert refused.closed is not None and there.drains == []
        nursery.cancel_scope.cancel()


async def test_nothing_is_revoked_that_could_not_be_kept() -> None:
    users = SharedUsers()
    here = node("here", users)
    client = await joined(here)
    users.is_away = True
    with pytest.raises(StoreUnavailable):
        await here.operations.revoke("ann", until=time.time() + 60)
    assert client.closed is None
