"""The registry in a real Redis: leases by its clock, verdicts by its rules, garbage survived."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterator

import pytest
import trio
from msgspec.structs import replace

from tests.servers.standalone import RedisServer, running_redis
from wsmesh.cluster.nodes import Identity, NodeRecord, encode_record
from wsmesh.cluster.registry import Condemned, NodeRegistry, Verdict
from wsmesh.config.redis import RedisSection
from wsmesh.store.redis.client import open_redis

A, B, C = (NodeRecord(node=name, incarnation=1, state="alive") for name in "abc")
LEASE = 5.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def registry(server: RedisServer) -> AsyncGenerator[NodeRegistry]:
    server.admin.flushall()
    async with open_redis(RedisSection(url=server.url), rng=random.Random(1)) as redis:
        yield NodeRegistry(redis, "t")


async def beat(registry: NodeRegistry, record: NodeRecord, lease: float = LEASE) -> list[str]:
    """Beat; return who is listed."""
    roll = await registry.beat(record.identity, encode_record(record), lease, has_changed=False)
    return sorted(listed.record.node for listed in roll.listing.nodes)


async def accuse(
    registry: NodeRegistry, accused: NodeRecord, accuser: NodeRecord, *, refused: bool = False,
    window: float = 3.0, alone: bool = False,
) -> Verdict:
    return await registry.accuse(
        accused.identity, accuser.identity, needed=2, window=window, refused=refused, alone=alone
    )


async def test_everybody_who_beats_is_listed_with_what_they_say_and_their_lease(
    registry: NodeRegistry,
) -> None:
    assert await beat(registry, A) == ["a"]
    assert await beat(registry, replace(B, zone="z", connections=7)) == ["a", "b"]
    roll = await registry.read()
    assert [listed.record for listed in roll.listing.nodes] == [
        A, replace(B, zone="z", connections=7)
    ]
    assert all(LEASE - 1 < listed.lease <= LEASE for listed in roll.listing.nodes)


async def test_versions_grow_with_joins_leaves_and_deaths_also_after_everything_was_lost(
    registry: NodeRegistry, server: RedisServer
) -> None:
    versions = []
    for step in (
        lambda: beat(registry, A), lambda: beat(registry, B),
        lambda: registry.leave(B.identity),
        lambda: registry.leave(A.identity),
    ):
        await step()
        versions.append((await registry.read()).listing.version)
    server.admin.flushall()
    await beat(registry, C)
    versions.append((await registry.read()).listing.version)
    assert versions[:3] == sorted(set(versions[:3]))
    assert versions[-1] > versions[0]


async def test_who_leaves_is_gone_and_does_not_come_back_in_this_incarnation(
    registry: NodeRegistry,
) -> None:
    await beat(registry, A)
    await beat(registry, B)
    await registry.leave(B.identity)
    roll = await registry.read()
    assert [listed.record.node for listed in roll.listing.nodes] == ["a"]
    assert roll.listing.dead == roll.remains == (B.identity,)
    with pytest.raises(Condemned):
        await beat(registry, B)
    assert await beat(registry, replace(B, incarnation=2)) == ["a", "b"]
    await registry.cleaned_up(B.identity)
    assert (await registry.read()).remains == ()


async def test_two_accusers_are_a_verdict_and_it_is_final(registry: NodeRegistry) -> None:
    for record in (A, B, C):
        await beat(registry, record)
    assert await accuse(registry, C, A) is Verdict.ACCUSED
    assert await accuse(registry, C, A) is Verdict.ACCUSED
    await registry.absolve(C.identity, A.identity)
    assert await accuse(registry, C, B) is Verdict.ACCUSED
    assert await accuse(registry, C, A) is Verdict.DEAD
    assert await accuse(registry, C, A) is Verdict.DEAD
    with pytest.raises(Condemned):
        await beat(registry, C)
    assert await accuse(registry, A, C) is Verdict.VOID


async def test_accusations_count_within_their_window_only(registry: NodeRegistry) -> None:
    for record in (A, B, C):
        await beat(registry, record)
    assert await accuse(registry, C, A) is Verdict.ACCUSED
    await trio.sleep(0.15)
    assert await accuse(registry, C, B, window=0.1) is Verdict.ACCUSED


async def test_of_two_nodes_one_suffices_with_a_refusal_or_an_ended_lease(
    registry: NodeRegistry,
) -> None:
    await beat(registry, A)
    await beat(registry, B, lease=0.1)
    assert await accuse(registry, B, A, alone=True) is Verdict.ACCUSED
    await trio.sleep(0.15)
    assert await accuse(registry, B, A) is Verdict.ACCUSED
    assert await accuse(registry, B, A, alone=True) is Verdict.DEAD
    await beat(registry, C)
    assert await accuse(registry, C, A, refused=True) is Verdict.ACCUSED
    assert await accuse(registry, C, A, refused=True, alone=True) is Verdict.DEAD


async def test_nobody_accuses_themselves_and_the_dead_are_no_witnesses(
    registry: NodeRegistry,
) -> None:
    for record in (A, B, C):
        await beat(registry, record)
    assert await accuse(registry, A, A, refused=True) is Verdict.VOID
    assert await accuse(registry, C, B) is Verdict.ACCUSED
    await registry.leave(B.identity)
    assert await accuse(registry, C, A) is Verdict.ACCUSED


async def test_an_ended_lease_alone_condemns_nobody(registry: NodeRegistry) -> None:
    await beat(registry, A, lease=0.05)
    await beat(registry, B, lease=0.05)
    await trio.sleep(0.1)
    assert await accuse(registry, B, A) is Verdict.VOID
    assert await beat(registry, A) == ["a", "b"]
    assert await beat(registry, B) == ["a", "b"]


async def test_strangers_accuse_nobody(registry: NodeRegistry) -> None:
    await beat(registry, A)
    stranger = NodeRecord(node="x", incarnation=1)
    assert await accuse(registry, A, stranger, refused=True) is Verdict.VOID
    assert await accuse(registry, stranger, A, refused=True) is Verdict.VOID


async def test_the_first_nodes_secret_is_everybodys(registry: NodeRegistry) -> None:
    assert await registry.shared_secret(b"one") == b"one"
    assert await registry.shared_secret(b"two") == b"one"


@pytest.mark.parametrize("name", ["nodes", "leases", "dead", "version", "cleanup", "accusations"])
@pytest.mark.parametrize("kind", ["type", "content"])
async def test_garbage_in_any_key_is_survived(
    name: str, kind: str, registry: NodeRegistry, server: RedisServer
) -> None:
    for record in (A, B, C):
        await beat(registry, record)
    key = f"t:{{cluster}}:{name}"
    server.admin.delete(key)
    if kind == "type":
        server.admin.lpush(key, "?")
    elif name in ("leases", "dead", "accusations"):
        server.admin.zadd(key, {"?": 1, "x/y/z": 2e12, "": 3})
    elif name == "nodes":
        server.admin.hset(key, mapping={"?": "{", "a/1": "[]", "b/1": '{"node":"b"}'})
    elif name == "cleanup":
        server.admin.sadd(key, "?", "x/y")
    else:
        server.admin.set(key, "?")
    for _ in range(2):
        for record in (A, B, C):
            await beat(registry, record)
    assert await beat(registry, A) == ["a", "b", "c"]
    await accuse(registry, C, A)
    assert await accuse(registry, C, B) is Verdict.DEAD
    assert Identity("c", 1) in (await registry.read()).listing.dead


async def test_shares_of_releases_are_read_with_every_beat_and_can_be_undone(
    registry: NodeRegistry,
) -> None:
    await beat(registry, A)
    before = (await registry.read()).listing.version
    assert (await registry.read()).releases == {}
    assert await registry.set_releases({"blue": 1.0, "green": 0.25}) == {"blue": 1, "green": 0.25}
    roll = await registry.beat(A.identity, encode_record(A), LEASE, has_changed=False)
    assert roll.releases == {"blue": 1.0, "green": 0.25}
    assert roll.listing.version > before, "nodes that are told look at once"
    await registry.set_releases({"blue": 0.0, "green": 1.0})
    assert await registry.set_releases({}) == {"blue": 1.0, "green": 0.25}
    assert await registry.set_releases({}) == {"blue": 0.0, "green": 1.0}, "undone is undone"


async def test_a_share_that_is_no_number_counts_for_nothing(
    registry: NodeRegistry, server: RedisServer
) -> None:
    await beat(registry, A)
    await registry.set_releases({"blue": 0.5})
    key = next(iter(server.admin.scan_iter("*:releases")))
    server.admin.hset(key, mapping={"green": "much", "red": "7"})
    assert (await registry.read()).releases == {"blue": 0.5, "red": 1.0}
