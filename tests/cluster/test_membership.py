"""Members over a real Redis and real mesh links: they find each other, and out who is gone."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, evolve, field

from tests.servers.standalone import RedisServer, running_redis
from wsmesh.cluster.changes import Change, Died, Joined, Left
from wsmesh.cluster.health import Vitals
from wsmesh.cluster.joining import agree_on_terms, open_mesh_socket
from wsmesh.cluster.membership import Membership
from wsmesh.cluster.nodes import Identity, NodeRecord
from wsmesh.cluster.registry import NodeRegistry
from wsmesh.cluster.verdicts import Duty
from wsmesh.config.cluster import ClusterSection
from wsmesh.config.redis import RedisSection
from wsmesh.config.sections import NodeSection
from wsmesh.config.values import Seconds, Secret
from wsmesh.store.redis.client import open_redis

NODE = NodeSection(heartbeat_interval=Seconds(0.5), node_timeout=Seconds(1.5))
CLUSTER = ClusterSection(
    probe_interval=Seconds(0.2), probe_timeout=Seconds(0.1), on_store_loss="fence"
)


@define(eq=False)
class Member:
    """One node that is nothing but a member."""

    membership: Membership
    sock: socket.socket
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    connections: int = 0
    state: str = "alive"
    changes: list[Change] = field(factory=list)
    duties: list[Duty] = field(factory=list)
    cleaned: list[Identity] = field(factory=list)

    @property
    def states(self) -> dict[str, str]:
        members = self.membership.view.members
        return {node: members[node].state.value for node in sorted(members)}

    def kill(self) -> None:
        """End it without a word: its sockets close."""
        self.scope.cancel()
        self.sock.close()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@asynccontextmanager
async def member(
    server: RedisServer, name: str, section: ClusterSection = CLUSTER
) -> AsyncGenerator[Member]:
    async with open_redis(RedisSection(url=server.url), rng=random.Random(name)) as redis:
        registry = NodeRegistry(redis, "t")
        sock, address = open_mesh_socket(section)
        found: Member

        async def clean_up(who: Identity) -> None:
            found.cleaned.append(who)

        found = Member(
            Membership(
                record=NodeRecord(node=name, incarnation=1, name=name, mesh=address),
                terms=await agree_on_terms(NODE, section, registry), registry=registry,
                vitals=lambda: Vitals(connections=found.connections, capacity=100),
                state=lambda: found.state, changed=lambda change: found.changes.append(change),
                duty_changed=lambda duty: found.duties.append(duty), clean_up=clean_up,
                handlers={}, rng=random.Random(name),
            ),
            sock,
        )
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[None]) -> None:
                with found.scope:
                    await found.membership.run([sock], task_status=task_status)

            await nursery.start(run)
            yield found
            found.scope.cancel()
        sock.close()


async def until(condition: Callable[[], object], within: float = 8.0) -> float:
    began = trio.current_time()
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.01)
    return trio.current_time() - began


async def test_members_find_each_other_link_and_report_their_load(server: RedisServer) -> None:
    async with member(server, "a") as a, member(server, "b") as b, member(server, "c") as c:
        everybody = {"a": "alive", "b": "alive", "c": "alive"}
        for each in (a, b, c):
            await until(lambda each=each: each.states == everybody)
            await until(lambda each=each: len(each.membership.mesh.peers) == 2)
        assert {type(change) for change in a.changes} == {Joined}
        b.connections, b.state = 60, "draining"
        await until(lambda: a.membership.view.members["b"].record.load == 0.6)
        await until(lambda: c.states["b"] == "draining")
        candidates = {
            each.id: each.is_accepting for each in a.membership.view.for_balancers().members
        }
        assert candidates == {"a/1": True, "b/1": False, "c/1": True}


async def test_a_member_that_leaves_is_gone_at_once_everywhere(server: RedisServer) -> None:
    async with member(server, "a") as a, member(server, "b") as b:
        async with member(server, "c") as c:
            await until(lambda: len(a.states) == len(b.states) == 3)
            await until(lambda: len(c.membership.mesh.peers) == 2)
            c.state = "leaving"
            await c.membership.leave()
            await until(lambda: "c" not in a.states and "c" not in b.states, 1.5)
            c.membership.beat_now()
            await trio.sleep(0.2)
            assert c.duties == [], "who has left is not condemned for it"
        assert Left(Identity("c", 1)) in a.changes or Died(Identity("c", 1)) in a.changes
        await until(lambda: Identity("c", 1) in a.cleaned)


async def test_a_killed_member_is_dead_in_time_and_its_remains_are_cleaned_up(
    server: RedisServer,
) -> None:
    async with member(server, "a") as a, member(server, "b") as b, member(server, "c") as c:
        await until(lambda: all(len(each.states) == 3 for each in (a, b, c)))
        await until(lambda: len(a.membership.mesh.peers) == len(b.membership.mesh.peers) == 2)
        c.kill()
        dead = Died(Identity("c", 1))
        assert await until(lambda: dead in a.changes and dead in b.changes) < 1.0
        await until(lambda: Identity("c", 1) in a.cleaned + b.cleaned)
        assert a.states == b.states == {"a": "alive", "b": "alive"}


async def test_of_two_members_the_survivor_notices_too(server: RedisServer) -> None:
    async with member(server, "a") as a, member(server, "b") as b:
        await until(lambda: len(a.membership.mesh.peers) == len(b.membership.mesh.peers) == 1)
        b.kill()
        await until(lambda: Died(Identity("b", 1)) in a.changes)


async def test_a_condemned_member_fences_itself_and_begins_another_life(
    server: RedisServer,
) -> None:
    async with member(server, "a") as a, member(server, "b") as b, member(server, "c") as c:
        await until(lambda: all(len(each.states) == 3 for each in (a, b, c)))
        for accuser in (a, b):
            await accuser.membership.registry.accuse(
                Identity("c", 1), accuser.membership.identity, needed=2, window=5, refused=False,
                alone=False,
            )
        await until(lambda: c.duties == [Duty.FENCE, Duty.SERVE])
        assert c.membership.identity == Identity("c", 2)
        await until(lambda: all(each.states == dict.fromkeys("abc", "alive") for each in (a, b, c)))
        await until(lambda: all(len(each.membership.mesh.peers) == 2 for each in (a, b, c)))


async def test_an_outage_of_the_store_condemns_nobody_and_is_survived(server: RedisServer) -> None:
    keeps = evolve(CLUSTER, on_store_loss="lease_majority")
    async with member(server, "a", keeps) as a, member(server, "b", keeps) as b:
        async with member(server, "c") as fences:
            await until(lambda: all(len(each.states) == 3 for each in (a, b, fences)))
            await until(lambda: all(len(each.membership.mesh.peers) == 2 for each in (a, b)))
            server.kill()
            await until(lambda: fences.duties == [Duty.FENCE])
            await until(lambda: a.duties == b.duties == [Duty.SERVE_NO_CLAIMS])
            await trio.sleep(1.0)
            assert len(a.states) == len(b.states) == 3
            server.start()
            for each in (a, b, fences):
                await until(lambda each=each: each.duties[-1] is Duty.SERVE)
                await until(lambda each=each: each.states == dict.fromkeys("abc", "alive"))
                assert not [change for change in each.changes if isinstance(change, Died)]


async def test_nodes_with_another_secret_stay_strangers(server: RedisServer) -> None:
    one, other = (evolve(CLUSTER, secret=Secret(text * 32)) for text in "xy")
    async with member(server, "a", one) as a, member(server, "b", other) as b:
        await until(lambda: len(a.states) == len(b.states) == 2)
        await trio.sleep(0.3)
        assert a.membership.mesh.peers == b.membership.mesh.peers == ()


async def test_a_member_has_the_share_of_its_weight_that_its_release_has(
    server: RedisServer,
) -> None:
    async with member(server, "a") as a, member(server, "b") as b:
        await until(lambda: len(a.membership.view.members) == 2)
        await a.membership.registry.set_releases({"": 0.25})
        for each in (a, b):
            await until(lambda each=each: {
                seen.record.weight for seen in each.membership.view.members.values()
            } == {0.25})
        await a.membership.registry.set_releases({})
        await until(lambda: a.membership.record.weight == 1.0)
