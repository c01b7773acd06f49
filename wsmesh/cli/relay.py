"""A TCP hop of the demonstration, whose connections can be cut as a network cuts them."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from attrs import define, field

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST (socket(7))


@define(eq=False, kw_only=True)
class Relay:
    """Forwards connections to a node.

    :ivar port: where it listens on 127.0.0.1.
    :ivar refused: connections turned away while it was cut.
    """

    port: int
    refused: int = 0
    _open: set[trio.SocketStream] = field(factory=set)
    _is_cut: bool = False

    def cut(self) -> None:
        """Reset every connection, with no goodbye, and let nobody in."""
        self._is_cut = True
        for stream in self._open:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            stream.socket.close()
        self._open.clear()

    def mend(self) -> None:
        """Let connections in again."""
        self._is_cut = False

    async def forward(self, near: trio.SocketStream, node_port: int) -> None:
        """Copy bytes both ways until one end closes."""
        if self._is_cut:
            self.refused += 1
            await near.aclose()
            return
        far = await trio.open_tcp_stream("127.0.0.1", node_port)
        self._open |= {near, far}
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(_copy, near, far)
            await _copy(far, near)
            nursery.cancel_scope.cancel()
        self._open -= {near, far}


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    try:
        async for chunk in source:
            await sink.send_all(chunk)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


@asynccontextmanager
async def open_relay(node_port: int) -> AsyncGenerator[Relay]:
    """A hop to the node at `node_port`, on a free port of loopback."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    relay = Relay(port=listener.socket.getsockname()[1])

    async def serve(near: trio.SocketStream) -> None:
        await relay.forward(near, node_port)

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, [listener])
        yield relay
        nursery.cancel_scope.cancel()
