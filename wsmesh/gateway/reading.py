"""Reading and writing an accepted socket, plain or TLS, before anybody else has it."""

from __future__ import annotations

import socket

import trio

from wsmesh.config.limits import LimitsSection
from wsmesh.ingress.tls import TLSSocket
from wsmesh.wire.head import HeadScanner, parse_head
from wsmesh.wire.proxy_protocol import parse
from wsmesh.wire.request import Request

READ = 16 * 1024
"""Bytes read at a time."""

End = socket.socket | TLSSocket
"""A non-blocking socket."""


def head_in(begun: bytearray, limits: LimitsSection) -> Request | None:
    """Return the request whose head `begun` starts with, None: it is incomplete.

    :raises BadRequest: it is none, or too large.
    """
    size = HeadScanner(limits).end(begun)
    return parse_head(bytes(begun[:size]), limits)[0] if size else None


async def read_head(end: End, begun: bytearray, limits: LimitsSection) -> Request:
    """Read until `begun` starts with a whole head; return its request.

    :raises BadRequest: it is none, or too large.
    :raises EOFError: the connection ended before.
    """
    scanner = HeadScanner(limits)
    while not (size := scanner.end(begun)):
        await receive_into(begun, end)
    return parse_head(bytes(begun[:size]), limits)[0]


async def read_proxy_header(end: End, begun: bytearray) -> str:
    """Read a PROXY header and take it out of `begun`; return the client's address, if it has one.

    :raises ProxyHeaderError: it is none.
    :raises EOFError: the connection ended before.
    """
    while (header := parse(bytes(begun))) is None:
        await receive_into(begun, end)
    del begun[: header.length]
    return "" if header.source is None else header.source[0]


async def receive_into(buffer: bytearray, end: End) -> None:
    """Add what comes next.

    :raises EOFError: nothing comes any more.
    :raises OSError: the connection is broken.
    """
    while True:
        try:
            data = end.recv(READ)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(end.fileno())
            continue
        if not data:
            raise EOFError("the connection ended")
        buffer += data
        return


async def send_all(end: End, data: bytes) -> None:
    """Send everything.

    :raises OSError: the connection is broken.
    """
    while data or (isinstance(end, TLSSocket) and end.unsent):
        try:
            data = data[end.send(data) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(end.fileno())
