"""The server API over three nodes: wherever a client is, and honest when a node does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt
import pytest
import trio
from attrs import evolve

from tests.doubles.link import START, FakeLink, FakeNode, configured
from wsmesh.config.channels import ChannelOptions
from wsmesh.config.sections import ClientSection, Config, PersonalChannelSection, TokenSection
from wsmesh.config.values import Secret
from wsmesh.errors import ReplyError
from wsmesh.session.orders import AnyOrder, NodeInfo, encode_order

SECRET = "a secret of at least thirty-two bytes"
OPEN = ChannelOptions(allow_subscribe_for_client=True)


class Joined:
    """What one of the nodes knows of the others: calls arrive unless a node is silent."""

    def __init__(self, cluster: Cluster, own: str) -> None:
        self._cluster = cluster
        self._own = own

    async def everywhere(self, order: AnyOrder) -> Mapping[str, bytes | Exception]:
        await trio.lowlevel.checkpoint()
        answers: dict[str, bytes | Exception] = {}
        for name, node in self._others().items():
            if name in self._cluster.silent:
                answers[name] = TimeoutError(f"node {name} did not answer")
            else:
                answers[name] = await node.clients.answer(encode_order(order))
        return answers

    def tell(self, node: str, order: AnyOrder) -> None:
        for name, other in self._others().items():
            if node in ("", name):
                other.clients.carry_out(order)

    def known(self) -> Mapping[str, NodeInfo]:
        return {
            name: NodeInfo(uid=name, name=name, state="suspect") for name in self._others()
        }

    def is_gone(self, owner: str) -> bool:
        return owner.partition("/")[0] not in self._cluster.nodes

    def _others(self) -> dict[str, FakeNode]:
        return {name: node for name, node in self._cluster.nodes.items() if name != self._own}


class Cluster:
    """Three nodes and a client of `ann` on each."""

    def __init__(self, **client: Any) -> None:
        base = configured(channel={"without_namespace": OPEN})
        section = ClientSection(token=TokenSection(hmac_secret_key=Secret(SECRET)), **client)
        self.config: Config = evolve(base, client=section)
        self.silent: set[str] = set()
        self.nodes: dict[str, FakeNode] = {}
        for name in "abc":
            self.nodes[name] = FakeNode(self.config, name=name, peers=Joined(self, name))

    async def connect(self, node: str, user: str = "ann", **claims: Any) -> FakeLink:
        token = jwt.encode({"sub": user, **claims}, SECRET, algorithm="HS256")
        return await self.nodes[node].connected(token=token)


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()


async def test_a_user_is_disconnected_wherever_connected(cluster: Cluster) -> None:
    links = [await cluster.connect(name) for name in "abc"]
    bystander = await cluster.connect("b", "bob")
    spared = [links[1].session.client]
    await cluster.nodes["a"].operations.disconnect(
        "ann", whitelist=spared, code=4100, reason="go away"
    )
    assert [link.closed for link in links] == [(4100, "go away"), None, (4100, "go away")]
    assert bystander.closed is None


async def test_subscribing_and_unsubscribing_reach_every_node(cluster: Cluster) -> None:
    links = [await cluster.connect(name) for name in "abc"]
    operations = cluster.nodes["c"].operations
    await operations.subscribe("ann", "news", info=b'{"x":1}')
    for link in links:
        await link.work()
        assert [push["channel"] for push in link.pushes("subscribe")] == ["news"]
    assert await operations.channels(None) == {"news": 3}
    await operations.unsubscribe("ann", "news", client=links[0].session.client)
    assert await operations.channels("n*") == {"news": 2}
    assert await operations.channels("x*") == {}


async def test_refresh_and_revocation_reach_every_node(cluster: Cluster) -> None:
    old, other = await cluster.connect("a", iat=int(START) - 50), await cluster.connect("b", "bob")
    new = await cluster.connect("c", iat=int(START))
    by_token = await cluster.connect("b", "eve", jti="j1")
    operations = cluster.nodes["b"].operations
    await operations.refresh("ann", expire_at=START + 60)
    assert new.pushes("refresh")[0]["refresh"]["ttl"] == 60
    await operations.revoke("ann", until=START + 999, issued_before=START - 10)
    assert old.closed == (3500, "invalid token")
    assert (new.closed, other.closed) == (None, None)
    await cluster.nodes["a"].operations.revoke_token("j1", until=START + 999)
    assert by_token.closed == (3500, "invalid token")
    for name in "abc":
        token = jwt.encode({"sub": "eve", "jti": "j1"}, SECRET, algorithm="HS256")
        refused = await cluster.nodes[name].client().ask(connect={"token": token})
        assert refused["closed"] == (3500, "invalid token")


async def test_a_silent_node_makes_the_operation_temporary_not_successful(
    cluster: Cluster,
) -> None:
    links = [await cluster.connect(name) for name in "abc"]
    cluster.silent.add("b")
    with pytest.raises(ReplyError, match="2 of 3 nodes: node b did not answer") as failure:
        await cluster.nodes["a"].operations.disconnect("ann")
    assert failure.value.temporary
    assert [link.closed is None for link in links] == [False, True, False]
    cluster.silent.clear()
    await cluster.nodes["a"].operations.disconnect("ann")
    assert links[1].closed == (3503, "force disconnect")


async def test_every_node_is_listed_a_silent_one_as_what_is_known_of_it(cluster: Cluster) -> None:
    await cluster.connect("b")
    cluster.silent.add("c")
    nodes = await cluster.nodes["a"].operations.info()
    assert [(node.uid, node.state, node.num_clients) for node in nodes] == [
        ("a", "alive", 0), ("b", "alive", 1), ("c", "suspect", 0),
    ]


async def test_a_users_connections_are_found_on_every_node(cluster: Cluster) -> None:
    links = {name: await cluster.connect(name) for name in "abc"}
    await links["b"].ask(subscribe={"channel": "news"})
    found = await cluster.nodes["a"].operations.connections("ann")
    assert {each.node: each.client for each in found} == {
        name: link.session.client for name, link in links.items()
    }
    assert [each.channels for each in found if each.node == "b"] == [("news",)]


async def test_a_single_connection_ends_the_users_others_on_every_node() -> None:
    personal = PersonalChannelSection(enabled=True, single_connection=True)
    cluster = Cluster(subscribe_to_user_personal_channel=personal)
    first = await cluster.connect("a")
    second = await cluster.connect("b")
    assert first.closed == (3504, "connection limit")
    assert second.closed is None
