"""Opening a connection to Redis: the stream, the login, and whether it is a master."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import hiredis
import trio
from attrs import frozen

from wsmesh.config.redis_url import Address
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.replies import NOTHING, Argument, open_reader, pack
from wsmesh.store.redis.settings import Login, Settings
from wsmesh.store.redis.tls import TLS

READ: Final = 65536

BROKEN: Final = (
    OSError, ssl.SSLError, trio.BrokenResourceError, trio.ClosedResourceError,
    hiredis.ProtocolError,
)
"""What a stream to Redis raises when it is lost."""

Open = Callable[[Address], Awaitable[trio.abc.Stream]]
"""Connects to an address; raises one of `BROKEN`."""


class NotAMaster(StoreUnavailable):
    """A replica answered where a master is needed: ask again who is the master."""


@frozen
class Connection:
    """A stream that has logged in.

    :ivar role: what the server said it is: `master`, `replica` or `sentinel`.
    """

    stream: trio.abc.Stream
    address: Address
    role: str


async def open_stream(address: Address, tls: TLS | None) -> trio.abc.Stream:
    """Connect to `address`.

    :raises OSError: nobody answers there.
    """
    if address.path:
        return await trio.open_unix_socket(address.path)
    stream = await trio.open_tcp_stream(address.host, address.port)
    _notice_silence(stream)
    if tls is None:
        return stream
    secured = trio.SSLStream(
        stream, tls.context, server_hostname=tls.server_name or address.host, https_compatible=True
    )
    try:
        await secured.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secured


def _notice_silence(stream: trio.SocketStream) -> None:
    """Let the kernel give up a peer that vanished, also while nothing is sent."""
    for name, level, value in (
        ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
        ("TCP_KEEPIDLE", socket.IPPROTO_TCP, 15),
        ("TCP_KEEPINTVL", socket.IPPROTO_TCP, 5),
        ("TCP_KEEPCNT", socket.IPPROTO_TCP, 3),
        ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, 20_000),
    ):
        if hasattr(socket, name):
            stream.setsockopt(level, getattr(socket, name), value)


async def open_connection(
    open_to: Open, address: Address, login: Login, *, needs_master: bool = True,
    within: float = 1.0,
) -> Connection:
    """Connect, log in, and make sure of the role.

    :param within: seconds all of it may take.
    :raises NotAMaster: a master is needed, and this is none.
    :raises StoreUnavailable: it cannot be reached, refuses the login, or is not ready.
    """
    try:
        with trio.fail_after(within):
            stream = await open_to(address)
            try:
                return await _log_in(stream, address, login, needs_master=needs_master)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
    except trio.TooSlowError as error:
        raise StoreUnavailable(f"{address} did not answer within {within:g} s") from error
    except BROKEN as error:
        raise StoreUnavailable(f"{address}: {said(error)}") from error


async def connect_to(settings: Settings, address: Address) -> Connection:
    """Return a connection to the master at `address`; raises as `open_connection` does."""
    return await open_connection(
        partial(open_stream, tls=settings.tls), address, settings.login,
        within=settings.bounds.connect_timeout,
    )


async def connect_to_any(settings: Settings, address: Address) -> Connection:
    """Return a connection to a server of any role; raises as `open_connection` does."""
    return await open_connection(
        partial(open_stream, tls=settings.tls), address, settings.login, needs_master=False,
        within=settings.bounds.connect_timeout,
    )


async def connect_to_sentinel(settings: Settings, address: Address) -> Connection:
    """Return a connection to a sentinel; raises as `open_connection` does."""
    return await open_connection(
        partial(open_stream, tls=settings.tls), address, settings.sentinel_login,
        needs_master=False, within=settings.bounds.connect_timeout,
    )


async def _log_in(
    stream: trio.abc.Stream, address: Address, login: Login, *, needs_master: bool
) -> Connection:
    hello: list[str] = ["HELLO", "3"]
    if login.password:
        hello += ["AUTH", login.username or "default", login.password]
    hello += ["SETNAME", login.name]
    commands: list[Sequence[Argument]] = [hello, ["ROLE"]]
    if login.database:
        commands.append(["SELECT", login.database])
    greeting, role, *others = await exchange(stream, commands)
    for reply in (greeting, *others):
        if isinstance(reply, Exception):
            raise StoreUnavailable(f"{address} refused the login: {reply}") from reply
    found = greeting.get(b"role", b"") if isinstance(greeting, dict) else b""
    if isinstance(role, Exception):
        # The user may lack the right to ask; what HELLO said must do then.
        if getattr(role, "code", "") != "NOPERM":
            raise StoreUnavailable(f"{address}: {role}") from role
    else:
        found = role[0]
    name = {b"slave": "replica"}.get(found, found.decode())
    if needs_master and name != "master":
        raise NotAMaster(f"{address} is a {name}, not a master")
    return Connection(stream, address, name)


async def exchange(
    stream: trio.abc.Stream, commands: Sequence[Sequence[Argument]]
) -> list[Any]:
    """Send commands at once and return their replies; error replies are exceptions among them.

    For the few exchanges before and beside a pipeline; pushes are skipped.
    """
    reader = open_reader()
    await stream.send_all(b"".join(pack(tuple(each)) for each in commands))
    replies: list[Any] = []
    while len(replies) < len(commands):
        while (reply := reader.gets()) is not NOTHING:
            if type(reply) is not hiredis.PushNotification:
                replies.append(reply)
        if len(replies) < len(commands):
            data = await stream.receive_some(READ)
            if not data:
                raise trio.BrokenResourceError("the connection was closed")
            reader.feed(bytes(data))
    return replies


def said(error: BaseException) -> str:
    """Return the innermost reason of a broken stream, in a few words."""
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
        else:
            return getattr(error, "strerror", None) or str(error) or type(error).__name__
