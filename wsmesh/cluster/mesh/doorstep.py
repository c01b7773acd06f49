"""Where streams become WebSockets: dialling a peer and accepting one, every failure as a word."""

from __future__ import annotations

import errno
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from enum import Enum
from ssl import SSLContext, SSLError

import h11
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)
from wsproto.utilities import LocalProtocolError

from wsmesh.cluster.mesh import auth
from wsmesh.cluster.mesh.link import MAX_MESSAGE, NOT_AUTHENTIC
from wsmesh.cluster.mesh.messages import MalformedMessage

SUBPROTOCOL = "wsmesh.mesh.1"

FAULTS = (
    ConnectionClosed, ConnectionRejected, MalformedMessage, auth.NotAuthentic, OSError, SSLError,
    trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, h11.ProtocolError,
    LocalProtocolError,
)  # fmt: skip
"""What a peer, or the network, can do to a link; anything else is a fault of ours."""


_NOT_OUR_PEER = (
    auth.NotAuthentic, MalformedMessage, ConnectionRejected, SSLError, h11.ProtocolError,
    LocalProtocolError,
)  # fmt: skip


class Failure(Enum):
    """Why there is no link to a peer; the detector weighs them differently."""

    LOST = "lost"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"


def failure_of(fault: BaseException) -> Failure:
    """Return what a fault while dialling says about the peer.

    REFUSED: its host is up and nobody listens. REJECTED: somebody listens who is not our peer.
    """
    for cause in causes(fault):
        if isinstance(cause, _NOT_OUR_PEER):
            return Failure.REJECTED
        if isinstance(cause, ConnectionClosed) and _code(cause) == NOT_AUTHENTIC:
            return Failure.REJECTED
        if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
            return Failure.REFUSED
    return Failure.UNREACHABLE


def causes(fault: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions that a group holds and those that caused them, groups left out."""
    if isinstance(fault, BaseExceptionGroup):
        for each in fault.exceptions:
            yield from causes(each)
    else:
        yield fault
        if fault.__cause__ is not None:
            yield from causes(fault.__cause__)


def _code(closed: ConnectionClosed) -> int | None:
    return None if closed.reason is None else closed.reason.code


@asynccontextmanager
async def dialled(
    host: str, port: int, tls: SSLContext | None
) -> AsyncGenerator[WebSocketConnection]:
    """Open a WebSocket to a peer's mesh listener; leaving the context drops it."""
    stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname=host, https_compatible=True)
    async with _dropped(stream), trio.open_nursery() as nursery:
        ws = await wrap_client_stream(
            nursery,
            stream,  # type: ignore[arg-type]  # any stream will do
            f"{host}:{port}",
            "/mesh",
            subprotocols=[SUBPROTOCOL],
            max_message_size=MAX_MESSAGE,
        )
        yield ws
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def accepted(
    stream: trio.abc.Stream, tls: SSLContext | None
) -> AsyncGenerator[WebSocketConnection]:
    """Accept a peer's WebSocket; leaving the context drops it."""
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
    async with _dropped(stream), trio.open_nursery() as nursery:
        request = await wrap_server_stream(nursery, stream, max_message_size=MAX_MESSAGE)
        if SUBPROTOCOL not in request.proposed_subprotocols:
            await request.reject(400, body=b"a mesh listener: nodes only\n")
            raise auth.NotAuthentic("the peer does not speak the mesh protocol")
        yield await request.accept(subprotocol=SUBPROTOCOL)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _dropped(stream: trio.abc.Stream) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await trio.aclose_forcefully(stream)
