"""A real gateway in front of real nodes, all in the test's own event loop."""

from __future__ import annotations

import json
import ssl
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve, field
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    Event,
    RejectConnection,
    Request,
    TextMessage,
)

from tests.ingress.conftest import open_config
from wsmesh.config.gateway import GatewaySection
from wsmesh.config.sections import Config, Listener
from wsmesh.gateway.gateway import Gateway, open_gateway
from wsmesh.node import open_node
from wsmesh.serving import Node


@define(eq=False)
class Site:
    """A gateway and its nodes.

    :ivar directory: where the control sockets are.
    """

    gateway: Gateway
    nodes: list[Node]
    directory: Path
    clients: list[Client] = field(factory=list)

    @property
    def port(self) -> int:
        """The gateway's first TCP port."""
        return int(self.gateway.addresses[0].rpartition(":")[2])

    def loads(self) -> list[int]:
        """Clients of each node."""
        return [node.statistics().connections for node in self.nodes]

    async def connect(self, **options: Any) -> Client:
        """Connect a client that stays until the site closes."""
        client = await Client.connect(self.port, **options)
        self.clients.append(client)
        return client

    async def settle(self, members: int) -> None:
        """Wait until so many members accept."""
        desk = self.gateway.desk
        with trio.fail_after(5):
            while self.gateway.statistics().accepting != members:
                await trio.sleep(0.01)
        assert desk.placing.fleet.view(desk.clock()).members


@define(eq=False)
class Client:
    """A WebSocket client that speaks the protocol by hand, without a task of its own.

    :ivar answer: header fields of the answer to the upgrade.
    """

    stream: trio.abc.Stream
    answer: dict[str, str] = field(factory=dict)
    _ws: WSConnection = field(factory=lambda: WSConnection(ConnectionType.CLIENT))
    _number: int = 0

    @classmethod
    async def connect(
        cls, port: int, *, headers: Sequence[tuple[bytes, bytes]] = (),
        path: str = "/connection/websocket", tls: ssl.SSLContext | None = None,
    ) -> Client:
        """Connect through the gateway and say hello.

        :raises ConnectionRefusedError: with the status and body of another answer.
        """
        stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", port)
        if tls is not None:
            stream = trio.SSLStream(stream, tls, server_hostname="localhost")
        client = cls(stream)
        await client._say(Request(host="localhost", target=path, extra_headers=list(headers)))
        match await client._hear():
            case AcceptConnection(extra_headers=fields):
                client.answer = {name.decode(): text.decode() for name, text in fields}
            case RejectConnection(status_code=status):
                await trio.aclose_forcefully(stream)
                raise ConnectionRefusedError(status)
        assert "connect" in await client.ask(connect={})
        return client

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and return its reply; pushes are dropped."""
        self._number += 1
        await self._say(TextMessage(json.dumps({"id": self._number, **command})))
        while True:
            event = await self._hear()
            assert isinstance(event, TextMessage), event
            for line in event.data.split("\n"):
                message: dict[str, Any] = json.loads(line)
                if message.get("id") == self._number:
                    return message

    async def _say(self, event: Event) -> None:
        await self.stream.send_all(self._ws.send(event))

    async def _hear(self) -> Event:
        with trio.fail_after(5):
            while True:
                for event in self._ws.events():
                    return event
                data = await self.stream.receive_some(65536)
                self._ws.receive_data(bytes(data) or None)

    async def aclose(self) -> None:
        """Leave without ceremony."""
        await trio.aclose_forcefully(self.stream)


@pytest.fixture
def directory() -> Any:
    """A short path: those of Unix sockets are bounded."""
    with tempfile.TemporaryDirectory(prefix="gw") as path:
        yield Path(path)


async def node_at(
    stack: AsyncExitStack, directory: Path, number: int, **sections: Any
) -> Node:
    """Open a node with a control socket; it ends with the stack."""
    config = open_config(**sections)
    config = evolve(
        config,
        node=evolve(config.node, name=f"node-{number}", control=f"{directory}/{number}.sock"),
    )
    return await stack.enter_async_context(open_node(config))


def gateway_config(directory: Path | None, **sections: Any) -> Config:
    """Return a gateway's configuration; options of `[gateway]` as a mapping."""
    options = sections.pop("gateway", {})
    listeners = sections.pop("listeners", (Listener(address="127.0.0.1:0"),))
    strategy = sections.pop("strategy", "p2c")
    config = open_config(**sections)
    return evolve(
        config,
        listeners=listeners,
        balancer=evolve(config.balancer, strategy=strategy),
        gateway=GatewaySection(control_dir=str(directory or ""), **options),
    )


@asynccontextmanager
async def site_of(
    directory: Path, count: int = 2, *, node: dict[str, Any] | None = None, **sections: Any
) -> AsyncGenerator[Site]:
    """Open a gateway and nodes of this host behind it."""
    async with AsyncExitStack() as stack:
        nodes = [
            await node_at(stack, directory, number, **(node or {}))
            for number in range(1, count + 1)
        ]
        gateway = await stack.enter_async_context(
            open_gateway(gateway_config(directory, **sections))
        )
        site = Site(gateway, nodes, directory)
        await site.settle(count)
        try:
            yield site
        finally:
            for client in site.clients:
                await client.aclose()
