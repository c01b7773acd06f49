"""A node's control socket: reports, and clients that somebody hands over."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import evolve

from tests.ingress.conftest import open_config
from wsmesh.errors import ConfigError
from wsmesh.ingress.control import ControlSocket, open_control
from wsmesh.node import open_node
from wsmesh.protocol.control import (
    LARGEST,
    Handover,
    MalformedControl,
    Message,
    Refused,
    Report,
    Taken,
    decode,
    encode,
)
from wsmesh.serving import Node

UPGRADE = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Link:
    """A gateway's end of a control link."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.connect(path)
        self.sock.setblocking(False)

    async def next(self) -> Message | None:
        """Return the next message, None at the end."""
        with trio.fail_after(5):
            while True:
                await trio.lowlevel.wait_readable(self.sock)
                data = self.sock.recv(LARGEST)
                return decode(data) if data else None

    async def answer(self) -> Message | None:
        """Return the next message that is no report."""
        while isinstance(message := await self.next(), Report):
            pass
        return message

    def hand_over(self, handover: Handover, *socks: socket.socket) -> None:
        """Send a client; the socket stays open here too."""
        socket.send_fds(self.sock, [encode(handover)], [each.fileno() for each in socks])


@asynccontextmanager
async def node_with_control(
    directory: Path, **sections: object
) -> AsyncGenerator[tuple[Node, Link]]:
    config = open_config(**sections)
    path = str(directory / "node.sock")
    config = evolve(config, node=evolve(config.node, control=path))
    async with open_node(config) as node:
        link = Link(path)
        with link.sock:
            yield node, link


def a_client() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


async def received(sock: socket.socket, until: bytes) -> bytes:
    data = b""
    with trio.fail_after(5):
        while until not in data:
            await trio.lowlevel.wait_readable(sock)
            part = sock.recv(65536)
            if not part:
                raise EOFError(data)
            data += part
    return data


async def test_a_client_that_is_handed_over_is_served_with_what_it_already_said(
    tmp_path: Path,
) -> None:
    async with node_with_control(tmp_path) as (node, link):
        client, theirs = a_client()
        head = UPGRADE + b"\x81\x95\0\0\0\0" + b'{"id":1,"connect":{}}'
        link.hand_over(
            Handover(
                number=7, address="203.0.113.9", begun=head, headers=(("Set-Cookie", "a=b"),)
            ),
            theirs,
        )
        theirs.close()
        assert await link.answer() == Taken(7)
        answer = await received(client, b'"connect"')
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"\r\nSet-Cookie: a=b\r\n" in answer
        assert node.statistics().connections == 1
        assert node.describe().num_clients == 1
        client.close()


async def test_a_plain_request_is_answered_and_its_connection_kept(tmp_path: Path) -> None:
    async with node_with_control(tmp_path) as (_, link):
        client, theirs = a_client()
        request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        link.hand_over(Handover(number=1, address="", begun=request), theirs)
        theirs.close()
        assert await link.answer() == Taken(1)
        assert b'"live"' in await received(client, b"}")
        client.send(request)
        assert b'"live"' in await received(client, b"}")
        client.close()


async def test_the_node_reports_by_itself_and_at_once_when_it_drains(tmp_path: Path) -> None:
    async with node_with_control(tmp_path) as (node, link):
        first, second = await link.next(), await link.next()
        assert isinstance(first, Report) and isinstance(second, Report)
        assert first.is_ready and first.state == "alive" and first.capacity == 500
        assert second.report > first.report
        assert first.listeners == node.addresses
        client, theirs = a_client()
        async with trio.open_nursery() as nursery:
            link.hand_over(Handover(number=1, address="", begun=UPGRADE), theirs)
            theirs.close()
            assert await link.answer() == Taken(1)
            await received(client, b"\r\n\r\n")
            nursery.start_soon(node.drain, 5.0)
            while not isinstance(report := await link.next(), Report) or report.is_ready:
                pass
            assert report.state == "draining"
            another, theirs = a_client()
            link.hand_over(Handover(number=2, address="", begun=UPGRADE), theirs)
            assert await link.answer() == Refused(2, "draining")
            another.close()
            theirs.close()
            client.close()


async def test_a_full_node_refuses(tmp_path: Path) -> None:
    async with node_with_control(tmp_path, node={"max_connections": 1}) as (_, link):
        clients = []
        for number in (1, 2):
            client, theirs = a_client()
            clients.append(client)
            link.hand_over(Handover(number=number, address="", begun=UPGRADE), theirs)
            theirs.close()
            answer = await link.answer()
            if number == 1:
                assert answer == Taken(1)
                await received(client, b"\r\n\r\n")
            else:
                assert answer == Refused(2, "full")
                # The node's copy is closed, and the gateway has closed its own above.
                assert await trio.to_thread.run_sync(client.recv, 1) == b""
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "garbage",
    [b"garbage", encode(Taken(1)), b"\x81\xa4type\xa8handover", b"\x81\xa4type\xa3xyz", b"\xc1"],
)
async def test_garbage_ends_the_link_and_nothing_else(tmp_path: Path, garbage: bytes) -> None:
    async with node_with_control(tmp_path) as (node, link):
        link.sock.send(garbage)
        with pytest.raises((EOFError, ConnectionResetError)):
            while await link.next() is not None:
                pass
            raise EOFError
        other = Link(node.config.node.control)
        with other.sock:
            assert isinstance(await other.next(), Report)


async def test_what_was_not_answered_for_is_not_touched(tmp_path: Path) -> None:
    """The gateway hung up before the node's answer: the client is the gateway's."""
    async with node_with_control(tmp_path) as (node, link):
        client, theirs = a_client()
        link.hand_over(Handover(number=1, address="", begun=UPGRADE), theirs)
        link.sock.shutdown(socket.SHUT_RDWR)
        other = Link(node.config.node.control)
        with other.sock:
            await other.next()
            await other.next()
        assert node.statistics().sockets == 0
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.close()
        theirs.close()


async def test_a_handover_without_a_socket_is_refused(tmp_path: Path) -> None:
    async with node_with_control(tmp_path) as (_, link):
        link.sock.send(encode(Handover(number=3, address="")))
        assert await link.answer() == Refused(3, "no free descriptors")


async def test_tls_needs_the_nodes_certificate(tmp_path: Path) -> None:
    async with node_with_control(tmp_path) as (_, link):
        client, theirs = a_client()
        link.hand_over(Handover(number=1, address="", tls=True), theirs)
        assert await link.answer() == Refused(1, "no certificate")
        client.close()
        theirs.close()


async def test_who_only_reports_takes_nobody(tmp_path: Path) -> None:
    path = str(tmp_path / "gateway.sock")
    control = ControlSocket(
        open_control(path, "gateway.control"),
        lambda number: Report(
            node="g", incarnation=1, name="g", pid=1, state="alive", is_ready=True,
            report=number, connections=0, capacity=1,
        ),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.run)
        link = Link(path)
        client, theirs = a_client()
        link.hand_over(Handover(number=1, address=""), theirs)
        assert await link.answer() == Refused(1, "takes no clients")
        for sock in (client, theirs, link.sock):
            sock.close()
        nursery.cancel_scope.cancel()
    assert not os.path.exists(path)  # noqa: ASYNC240  a look at a temporary directory


def test_a_path_that_cannot_be_used_is_named_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"node\.control: .*nowhere/a\.sock: No such file"):
        open_control(str(tmp_path / "nowhere" / "a.sock"), "node.control")


def test_the_socket_of_a_process_that_is_gone_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    open_control(path, "node.control").close()
    with open_control(path, "node.control"):
        with pytest.raises(ConfigError, match=r"[Aa]ddress already in use"):
            open_control(path, "node.control")


def test_messages_survive_encoding() -> None:
    for message in (
        Taken(1), Refused(2, "full"),
        Handover(number=3, address="::1", begun=b"\0\xff", headers=(("a", "b"),), waited=0.5),
    ):
        assert decode(encode(message)) == message
    with pytest.raises(MalformedControl, match="not a control message"):
        decode(json.dumps({"type": "taken"}).encode())
