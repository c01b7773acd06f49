"""A real node in the test's own event loop, and clients over real sockets."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
from attrs import evolve
from trio_websocket import ConnectionClosed, WebSocketConnection, connect_websocket
from trio_websocket import wrap_client_stream as wrap

from tests.doubles.link import configured
from wsmesh.config.channels import ChannelOptions
from wsmesh.config.sections import Config, Listener
from wsmesh.config.values import Seconds
from wsmesh.node import open_node
from wsmesh.serving import Node

__all__ = ["ConnectionClosed", "connect_websocket"]

OPEN = ChannelOptions(
    history_size=1000,
    history_ttl=Seconds(60),
    force_recovery=True,
    presence=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
)


def open_config(**sections: Any) -> Config:
    """Return a configuration in which anonymous clients may do everything."""
    facts: dict[str, Any] = {
        "client": {"allow_anonymous_connect_without_token": True},
        "channel": {"without_namespace": OPEN},
        "node": {"max_connections": 500},
    }
    for name, more in sections.items():
        facts[name] = facts.get(name, {}) | more if isinstance(more, dict) else more
    listeners = facts.pop("listeners", (Listener(address="127.0.0.1:0"),))
    return evolve(configured(**facts), listeners=listeners)


class Peer:
    """A plain WebSocket client that speaks the protocol by hand."""

    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws
        self._number = 0
        self.pushes: list[dict[str, Any]] = []

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and return its reply; pushes before it are kept."""
        self._number += 1
        await self.ws.send_message(json.dumps({"id": self._number, **command}))
        with trio.fail_after(10):
            while True:
                for line in (await self.ws.get_message()).split("\n"):
                    message: dict[str, Any] = json.loads(line)
                    if message.get("id") == self._number:
                        return message
                    self.pushes.append(message.get("push", message))

    async def next_push(self, within: float = 10) -> dict[str, Any]:
        """Return the next push."""
        with trio.fail_after(within):
            while not self.pushes:
                message = json.loads(await self.ws.get_message())
                if message:
                    self.pushes.append(message.get("push", message))
                else:
                    await self.ws.send_message("{}")
        return self.pushes.pop(0)

    async def closing(self, within: float = 10) -> tuple[int, str]:
        """Read until the server closes; return its code and reason."""
        with trio.fail_after(within):
            while True:
                try:
                    await self.ws.get_message()
                except ConnectionClosed as closed:
                    assert closed.reason is not None
                    return closed.reason.code, closed.reason.reason or ""


async def tcp_stream(node: Node, which: int = 0) -> trio.SocketStream:
    """Return a stream to one of the node's addresses."""
    address = node.addresses[which]
    if address.startswith("unix:"):
        return await trio.open_unix_socket(address.removeprefix("unix:"))  # type: ignore[no-any-return]
    host, port = address.rsplit(":", 1)
    return await trio.open_tcp_stream(host.strip("[]"), int(port))


@asynccontextmanager
async def peer(
    node: Node, *, which: int = 0, path: str = "/connection/websocket", connect: bool = True,
    tls: ssl.SSLContext | None = None, before: bytes = b"", headers: Any = (),
) -> AsyncGenerator[Peer]:
    """Connect a client; `before` goes out ahead of the handshake."""
    stream: Any = await tcp_stream(node, which)
    if before:
        await stream.send_all(before)
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname="localhost")
        # Before the WebSocket: trio-websocket waits for ever when this fails inside it.
        try:
            await stream.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
    try:
        async with trio.open_nursery() as nursery:
            ws = await wrap(nursery, stream, "localhost", path, extra_headers=headers)
            client = Peer(ws)
            if connect:
                reply = await client.ask(connect={})
                assert "connect" in reply
            yield client
            with trio.move_on_after(1, shield=True):
                await ws.aclose()
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


Opened = Callable[..., AbstractAsyncContextManager[Node]]


@pytest.fixture
def opened() -> Opened:
    """Open a node: `async with opened(limits={...}) as node`."""

    @asynccontextmanager
    async def opening(**sections: Any) -> AsyncGenerator[Node]:
        async with open_node(open_config(**sections)) as node:
            yield node

    return opening
