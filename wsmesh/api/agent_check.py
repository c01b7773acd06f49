"""HAProxy's agent-check: a line of words says how a node is, and whether it wants clients.

HAProxy configuration manual, "agent-check": a percentage is the weight, `ready`, `drain` and
`maint` are administrative states, `up` is the health, `maxconn:N` the clients at most. HAProxy
connects, reads a line, and both close.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from contextlib import suppress

import trio
from attrs import define, frozen

AT_ONCE = 64
"""Askers being answered; others wait in the backlog."""

ANSWER_WITHIN = 2.0
"""Seconds for one answer; HAProxy itself waits for two."""

PAUSE = 0.1
"""Seconds without accepting after the system refused one."""


@frozen(kw_only=True)
class Condition:
    """How a node is.

    :param refusing: "draining", "fenced", "full", or nothing.
    :param health: its score, 0 to 1.
    :param capacity: clients it takes at most.
    """

    refusing: str
    health: float
    capacity: int


def line(condition: Condition) -> bytes:
    """Return what is answered.

    A full node keeps its state and has no weight, so that it is back with the first that leaves. An
    outage of the store changes nothing: it is every node's, and none would be left.
    """
    match condition.refusing:
        case "fenced":
            return b"maint\n"
        case "draining":
            return b"drain up\n"
    percent = 0 if condition.refusing else max(1, round(condition.health * 100))
    return b"ready up %d%% maxconn:%d\n" % (percent, condition.capacity)


@define(eq=False)
class AgentCheck:
    """Answers everybody who connects.

    :param condition: returns how the node is.
    """

    _socket: socket.socket
    _condition: Callable[[], Condition]

    async def run(self) -> None:
        """Answer until cancelled; the socket is closed then."""
        limit = trio.CapacityLimiter(AT_ONCE)
        with self._socket:
            async with trio.open_nursery() as nursery:
                while True:
                    # Who is not accepted yet costs nothing.
                    await limit.acquire_on_behalf_of(asker := object())
                    await trio.lowlevel.wait_readable(self._socket)
                    try:
                        peer, _ = self._socket.accept()
                    except OSError as error:
                        limit.release_on_behalf_of(asker)
                        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                            # The asker stays in the backlog: asking again at once would spin.
                            await trio.sleep(PAUSE)
                        continue
                    nursery.start_soon(self._answer, peer, limit, asker)

    async def _answer(
        self, peer: socket.socket, limit: trio.CapacityLimiter, asker: object
    ) -> None:
        try:
            with peer, trio.move_on_after(ANSWER_WITHIN):
                peer.setblocking(False)
                answer = line(self._condition())
                # A new socket has room for a line; one that is gone needs none.
                with suppress(OSError):
                    peer.send(answer)
                    peer.shutdown(socket.SHUT_WR)
                await _drained(peer)
        finally:
            limit.release_on_behalf_of(asker)


async def _drained(peer: socket.socket) -> None:
    """Read what the asker says, until it closes: unread bytes would reset the connection."""
    while True:
        await trio.lowlevel.wait_readable(peer)
        try:
            if not peer.recv(256):
                return
        except BlockingIOError:
            continue
        except OSError:
            return
