"""The two ways from the gateway to a node: the socket itself, or bytes that are relayed."""

from __future__ import annotations

import socket

import trio
from attrs import frozen

from wsmesh.gateway.affinity import Claim
from wsmesh.gateway.desk import Arriving, Desk
from wsmesh.gateway.fleet import Route
from wsmesh.gateway.forwarding import forwarded, with_headers
from wsmesh.gateway.links import Client
from wsmesh.gateway.reading import End, receive_into, send_all


@frozen(eq=False)
class Carried:
    """A relayed connection's other end, and what was read from it already."""

    far: socket.socket
    answer: bytes = b""


@frozen
class Refused:
    """The node did not take the client."""

    reason: str


async def hand_over(
    desk: Desk, arriving: Arriving, end: End, claim: Claim, route: Route
) -> Refused | Carried | None:
    """Give a node of this host the socket, or behind our TLS the other end of a new pair.

    :returns: None: the socket is the node's.
    """
    link = desk.links.get(route.control)
    if link is None:
        return Refused("no link")
    if end is arriving.sock:
        reason = await link.hand_over(end, told(arriving, claim))
        return Refused(reason) if reason else None
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            reason = await link.hand_over(theirs, told(arriving, claim, is_secure=True))
    except BaseException:
        ours.close()
        raise
    if reason:
        ours.close()
        return Refused(reason)
    ours.setblocking(False)
    return Carried(ours)


def told(arriving: Arriving, claim: Claim, *, is_secure: bool = False) -> Client:
    """Return what a node of this host is told of a client.

    :param is_secure: its TLS ends here.
    """
    return Client(
        address=arriving.address, is_secure=is_secure, begun=bytes(arriving.begun),
        headers=claim.headers, tls=arriving.certificate is not None and not is_secure,
    )


async def connect(
    desk: Desk, arriving: Arriving, end: End, claim: Claim, route: Route
) -> Refused | Carried:
    """Connect to a node elsewhere, and say there what the client said."""
    host, _, port = route.address.rpartition(":")
    try:
        with trio.fail_after(desk.config.gateway.connect_timeout):
            stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
            far = socket.socket(fileno=stream.socket.detach())
            try:
                answer = await _introduce(desk, arriving, end, far)
            except BaseException:
                far.close()
                raise
    except trio.TooSlowError:
        return Refused("too slow")
    except (OSError, EOFError):
        return Refused("unreachable")
    return Carried(far, with_headers(answer, claim.headers))


async def _introduce(desk: Desk, arriving: Arriving, end: End, far: socket.socket) -> bytes:
    """Send what the client said; return the beginning of the answer to an upgrade.

    :raises EOFError: the node has no room.
    """
    request, begun = arriving.request, bytes(arriving.begun)
    if request is not None:
        begun = forwarded(
            begun, arriving.address, is_secure=end is not arriving.sock,
            is_trusted=arriving.address in desk.proxies,
        )
    await send_all(far, begun)
    if request is None or not request.is_upgrade:
        return b""
    answer = bytearray()
    while b"\r\n" not in answer:
        await receive_into(answer, far)
    if b" 503 " in answer[: answer.index(b"\r\n")]:
        raise EOFError("answered 503")
    return bytes(answer)
