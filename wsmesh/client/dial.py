"""Opens the WebSocket: TCP, TLS and the HTTP upgrade, each failure as an `Ending`."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from ssl import SSLContext, create_default_context

import h11
import trio
from trio_websocket import ConnectionRejected, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from wsmesh.client import advice
from wsmesh.client.handshake import AttemptFailed, HandshakeStream
from wsmesh.client.options import Dial
from wsmesh.client.urls import split

#: Frames that the WebSocket layer holds for us; TCP does the rest of the buffering.
_QUEUED_FRAMES = 4
_RECEIVE_BYTES = 64 * 1024


def dial_with(tls: SSLContext | None) -> Dial:
    """Return the dialler for real sockets.

    :param tls: for `wss:` URLs, None: the system's certificate authorities.
    """
    return partial(_dial, tls)


async def _dial(tls: SSLContext | None, url: str) -> trio.abc.Stream:
    parts = split(url)
    host = parts.hostname or ""
    tcp = await trio.open_tcp_stream(host, parts.port or (443 if parts.scheme == "wss" else 80))
    if parts.scheme == "ws":
        return tcp
    context = tls or create_default_context()
    stream = trio.SSLStream(tcp, context, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


@asynccontextmanager
async def open_websocket(
    url: str, dial: Dial, headers: Mapping[str, str], *, within: float, max_message_size: int
) -> AsyncGenerator[WebSocketConnection]:
    """Open a WebSocket to `url`; leaving the context drops what is left of it.

    :param within: seconds for everything up to the upgrade.
    :raises AttemptFailed: in an exception group when the handshake itself failed.
    """
    stream = await _open_stream(url, dial, within)
    parts = split(url)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    guarded = HandshakeStream(stream)
    try:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(within) as patience:
                ws = await wrap_client_stream(
                    nursery,
                    guarded,  # type: ignore[arg-type]  # any stream will do
                    parts.netloc.rpartition("@")[2],
                    resource,
                    extra_headers=extra,
                    message_queue_size=_QUEUED_FRAMES,
                    max_message_size=max_message_size,
                    receive_buffer_size=_RECEIVE_BYTES,
                )
            if patience.cancelled_caught:
                raise AttemptFailed(advice.lost(f"no upgrade within {within:g} s"))
            guarded.is_upgraded = True
            yield ws
            nursery.cancel_scope.cancel()
    except* ConnectionRejected as rejections:
        rejection = rejections.exceptions[0]
        assert isinstance(rejection, ConnectionRejected)
        ending = advice.of_rejection(rejection.status_code, rejection.headers, time.time())
        raise AttemptFailed(ending) from None
    except* (h11.ProtocolError, LocalProtocolError) as faults:
        # trio-websocket lets these out of its reader when it cannot answer what it could not read.
        raise AttemptFailed(
            advice.lost(f"not a WebSocket server: {faults.exceptions[0]}")
        ) from None
    finally:
        await trio.aclose_forcefully(stream)


async def _open_stream(url: str, dial: Dial, within: float) -> trio.abc.Stream:
    try:
        with trio.fail_after(within):
            return await dial(url)
    except trio.TooSlowError as fault:
        raise AttemptFailed(advice.lost(f"no connection within {within:g} s")) from fault
    except (OSError, trio.BrokenResourceError) as fault:
        raise AttemptFailed(advice.lost(f"cannot connect: {fault.__cause__ or fault}")) from fault
