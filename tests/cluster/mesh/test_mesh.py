"""Meshes of real sockets: links come up by themselves, only between nodes that share the secret."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, field

from wsmesh.cluster.mesh.doorstep import Failure
from wsmesh.cluster.mesh.link import Link
from wsmesh.cluster.mesh.mesh import CallFailed, Mesh, Peer
from wsmesh.cluster.mesh.messages import Ack, Message, Probe
from wsmesh.cluster.nodes import Identity
from wsmesh.errors import WsmeshError


@define(eq=False)
class Member:
    """A node that is nothing but its mesh."""

    mesh: Mesh
    listener: trio.SocketListener
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    heard: list[Message] = field(factory=list)
    links: list[tuple[str, Failure | None]] = field(factory=list)

    @property
    def peer(self) -> Peer:
        host, port = self.listener.socket.getsockname()[:2]
        return Peer(self.mesh.own.node, host, port)


async def echo(params: bytes) -> bytes:
    return params


async def refuse(params: bytes) -> bytes:
    raise WsmeshError("not today")


async def crash(params: bytes) -> bytes:
    raise RuntimeError("secret detail")


async def hang(params: bytes) -> bytes:
    await trio.sleep(60)
    return params


@asynccontextmanager
async def member(
    nursery: trio.Nursery, name: str, secret: bytes = b"s" * 32, port: int = 0
) -> AsyncGenerator[Member]:
    (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")

    def hear(link: Link, message: Message) -> None:
        found.heard.append(message)
        if isinstance(message, Probe):
            link.send(Ack(message.number))

    found = Member(
        Mesh(
            own=Identity(name, 1), secret=secret, hear=hear,
            linked=lambda peer: found.links.append((peer.node, None)),
            unlinked=lambda node, failure: found.links.append((node, failure)),
            handlers={"echo": echo, "refuse": refuse, "crash": crash, "hang": hang},
            rng=random.Random(1),
        ),
        listener,
    )

    async def run() -> None:
        with found.scope:
            await found.mesh.run([listener])

    nursery.start_soon(run)
    await trio.testing.wait_all_tasks_blocked()
    try:
        yield found
    finally:
        found.scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(5):
        while not condition():
            await trio.sleep(0.005)


async def cancel_after(seconds: float, scope: trio.CancelScope) -> None:
    await trio.sleep(seconds)
    scope.cancel()


def introduce(*members: Member) -> None:
    for each in members:
        each.mesh.set_peers({other.mesh.own.node: other.peer for other in members})


async def test_nodes_link_to_each_other_and_carry_messages(nursery: trio.Nursery) -> None:
    async with member(nursery, "a") as a, member(nursery, "b") as b:
        introduce(a, b)
        await until(lambda: a.mesh.peers == ("b",) and b.mesh.peers == ("a",))
        assert a.mesh.send("b", Probe(5))
        await until(lambda: a.heard == [Ack(5)])
        assert b.heard == [Probe(5)]
        assert not a.mesh.send("c", Probe(5))


async def test_calls_bring_results_or_the_reason_why_not(nursery: trio.Nursery) -> None:
    async with member(nursery, "a") as a, member(nursery, "b") as b:
        introduce(a, b)
        await until(lambda: a.mesh.peers)
        assert await a.mesh.call("b", "echo", b'{"x":[1]}', 2) == b'{"x":[1]}'
        with pytest.raises(CallFailed, match="not today"):
            await a.mesh.call("b", "refuse", b"{}", 2)
        with pytest.raises(CallFailed, match=r"^internal error$"):
            await a.mesh.call("b", "crash", b"{}", 2)
        with pytest.raises(CallFailed, match="unknown method 'sing'"):
            await a.mesh.call("b", "sing", b"{}", 2)
        with pytest.raises(CallFailed, match=r"within 0\.05 s"):
            await a.mesh.call("b", "hang", b"{}", 0.05)
        with pytest.raises(CallFailed, match="not linked"):
            await a.mesh.call("z", "echo", b"{}", 2)
        assert await a.mesh.call("b", "echo", b"1", 2) == b"1"


async def test_what_is_told_is_carried_out_without_an_answer(nursery: trio.Nursery) -> None:
    done = trio.Event()

    async def note(params: bytes) -> bytes:
        done.set()
        return params

    async with member(nursery, "a") as a, member(nursery, "b") as b:
        b.mesh.handlers = {"note": note}
        introduce(a, b)
        await until(lambda: a.mesh.tell("b", "note", b"1"))
        with trio.fail_after(5):
            await done.wait()
        assert await b.mesh.broadcast("echo", b"2", 2) == {"a": b"2"}


async def test_a_broadcast_reports_each_peer(nursery: trio.Nursery) -> None:
    async with (
        member(nursery, "a") as a, member(nursery, "b") as b, member(nursery, "c") as c
    ):
        introduce(a, b, c)
        await until(lambda: len(a.mesh.peers) == 2)
        assert await a.mesh.broadcast("echo", b"7", 2) == {"b": b"7", "c": b"7"}
        failures = await a.mesh.broadcast("refuse", b"7", 2)
        assert {node: str(failure) for node, failure in failures.items()} == {
            "b": "not today", "c": "not today",
        }


async def test_a_call_ends_with_its_link(nursery: trio.Nursery) -> None:
    async with member(nursery, "a") as a, member(nursery, "b") as b:
        introduce(a, b)
        await until(lambda: a.mesh.peers)
        nursery.start_soon(cancel_after, 0.1, b.scope)
        with trio.fail_after(2), pytest.raises(CallFailed, match="link to node b was lost"):
            await a.mesh.call("b", "hang", b"{}", 30)


async def test_a_node_with_another_secret_gets_no_link(nursery: trio.Nursery) -> None:
    async with member(nursery, "a") as a, member(nursery, "b", b"x" * 32) as b:
        introduce(a, b)
        await until(lambda: ("b", Failure.REJECTED) in a.links and b.links)
        assert a.mesh.peers == b.mesh.peers == ()


async def test_an_address_where_another_node_answers_gives_no_link(nursery: trio.Nursery) -> None:
    async with member(nursery, "a") as a, member(nursery, "b") as b:
        where = b.peer
        a.mesh.set_peers({"c": Peer("c", where.host, where.port)})
        await until(lambda: ("c", Failure.REJECTED) in a.links)
        assert a.mesh.peers == ()


async def test_a_vanished_peer_is_lost_then_refused_then_linked_again(
    nursery: trio.Nursery,
) -> None:
    async with member(nursery, "a") as a:
        async with member(nursery, "b") as b:
            port = b.peer.port
            introduce(a, b)
            await until(lambda: a.mesh.peers)
        await until(lambda: ("b", Failure.REFUSED) in a.links)
        assert a.links.index(("b", Failure.LOST)) < a.links.index(("b", Failure.REFUSED))
        async with member(nursery, "b", port=port):
            await until(lambda: a.mesh.send("b", Probe(9)))
            await until(lambda: Ack(9) in a.heard)


async def test_strangers_with_any_bytes_end_only_their_own_connection(
    nursery: trio.Nursery,
) -> None:
    async with member(nursery, "a") as a, member(nursery, "b") as b:
        introduce(a, b)
        await until(lambda: a.mesh.peers)
        for noise in (b"", b"\x00" * 64, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01"):
            stream = await trio.open_tcp_stream(b.peer.host, b.peer.port)
            async with stream:
                await stream.send_all(noise)
                await stream.send_eof()
                with trio.fail_after(5):
                    while await stream.receive_some():
                        pass
        assert await a.mesh.call("b", "echo", b"1", 2) == b"1"
