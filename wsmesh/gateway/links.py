"""Links to the nodes of this host: their reports, and handing clients over to them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog
import trio
from attrs import define, field

from wsmesh.gateway.fleet import Fleet
from wsmesh.protocol.control import (
    LARGEST,
    Handover,
    MalformedControl,
    Refused,
    Report,
    Taken,
    decode,
    encode,
)

SILENCE = 1.0
"""Seconds without a report after which nobody is placed on a node: it hangs."""

RETRY = 0.1
"""Seconds between attempts to reach a control socket."""

SCAN = 0.25
"""Seconds between looks into the directory of control sockets."""

AT_ONCE = 64

log = structlog.get_logger("wsmesh.gateway")


@define(eq=False)
class _Waiting:
    """A handover that is not answered yet; `refused` says why when `taken` is false."""

    answered: trio.Event = field(factory=trio.Event)
    taken: bool = False
    refused: str = ""

    def settle(self, refused: str | None) -> None:
        self.taken, self.refused = refused is None, refused or ""
        self.answered.set()


@define(eq=False)
class NodeLink:
    """The control link to one node.

    A handover has exactly one end: the node answered that it took the client, or the link is shut
    before it could say so; then its answer cannot be sent, and it does not touch the client.
    """

    path: str
    _fleet: Fleet
    _socket: socket.socket | None = field(default=None, init=False)
    _waiting: dict[int, _Waiting] = field(factory=dict, init=False)
    _number: int = field(default=0, init=False)

    async def run(self) -> None:
        """Keep the link open until cancelled."""
        while True:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.setblocking(False)
                sock.connect(self.path)
                try:
                    await self._converse(sock)
                finally:
                    self._lost(sock)
            await trio.sleep(RETRY)

    async def hand_over(
        self, sock: socket.socket, *, timeout: float, address: str, is_secure: bool = False,
        begun: bytes = b"", headers: tuple[tuple[str, str], ...] = (), tls: bool = False,
    ) -> str:
        """Hand a client over; return why it was refused, empty when it was taken.

        When it was taken, close `sock` without touching it; otherwise it is still the caller's.

        :param timeout: seconds; a node that does not answer by then is given up.
        """
        link = self._socket
        if link is None:
            return "no link"
        self._number += 1
        number = self._number
        message = encode(
            Handover(
                number=number, address=address, is_secure=is_secure, begun=begun,
                headers=headers, tls=tls,
            )
        )
        waiting = self._waiting[number] = _Waiting()
        try:
            with trio.CancelScope(
                shield=True, deadline=trio.current_time() + timeout
            ) as patience:
                await _send_with(link, message, sock)
                await waiting.answered.wait()
            if patience.cancelled_caught:
                self._give_up(link)
        except OSError:
            self._give_up(link)
        finally:
            self._waiting.pop(number, None)
        if waiting.taken:
            return ""
        return waiting.refused or "no answer"

    def _give_up(self, link: socket.socket) -> None:
        """Shut the link, so that nothing is taken any more; what was taken before still counts."""
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
        # An end is read here at the latest, so the answers before it are.
        with suppress(OSError, MalformedControl):
            while self._read(link):
                pass
        if self._socket is link:
            log.warning("gateway.node_hangs", control=self.path)
            self._lost(link)

    async def _converse(self, sock: socket.socket) -> None:
        while True:
            with trio.move_on_after(SILENCE) as silence:
                await trio.lowlevel.wait_readable(sock)
            if silence.cancelled_caught:
                # It may have hung; a handover finds out, a report brings it back.
                self._fleet.lost(self.path)
                continue
            try:
                if not self._read(sock):
                    return
            except MalformedControl as error:
                log.error("gateway.malformed", control=self.path, error=str(error))
                return

    def _read(self, sock: socket.socket) -> bool:
        """Read what is there; return whether there may be more later."""
        for _ in range(AT_ONCE):
            try:
                data = sock.recv(LARGEST)
            except BlockingIOError:
                return True
            if not data:
                return False
            match decode(data):
                case Report() as report:
                    self._socket = sock
                    self._fleet.reported(self.path, report)
                case Taken(number):
                    self._settle(number, None)
                case Refused(number, reason):
                    self._settle(number, reason or "refused")
                case _:
                    raise MalformedControl("expected a report or an answer")
        return True

    def _settle(self, number: int, refused: str | None) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None:
            waiting.settle(refused)

    def _lost(self, sock: socket.socket) -> None:
        if self._socket is sock:
            self._socket = None
        self._fleet.lost(self.path)
        for waiting in self._waiting.values():
            if not waiting.answered.is_set():
                waiting.settle("link lost")


async def _send_with(link: socket.socket, message: bytes, sock: socket.socket) -> None:
    while True:
        try:
            socket.send_fds(link, [message], [sock.fileno()])
            return
        except BlockingIOError:
            await trio.lowlevel.wait_writable(link)


@define(eq=False)
class Links:
    """The links to all nodes of this host.

    :param paths: control sockets by hand.
    :param directory: every `*.sock` in it is one; empty: none.
    """

    _fleet: Fleet
    _paths: tuple[str, ...] = ()
    _directory: str = ""
    _links: dict[str, NodeLink] = field(factory=dict, init=False)

    def get(self, path: str) -> NodeLink | None:
        """Return the link to a control socket."""
        return self._links.get(path)

    async def run(self) -> None:
        """Keep a link to every control socket until cancelled."""
        async with trio.open_nursery() as nursery:
            ends: dict[str, Callable[[], None]] = {}
            while True:
                wanted = {*self._paths, *self._found()}
                for path in wanted - set(self._links):
                    link = self._links[path] = NodeLink(path, self._fleet)
                    ends[path] = await nursery.start(_run, link)
                for path in set(self._links) - wanted:
                    ends.pop(path)()
                    del self._links[path]
                await trio.sleep(SCAN)

    def _found(self) -> list[str]:
        if not self._directory:
            return []
        try:
            names = os.listdir(self._directory)
        except OSError:
            return []
        return [os.path.join(self._directory, name) for name in names if name.endswith(".sock")]


async def _run(link: NodeLink, *, task_status: trio.TaskStatus[Callable[[], None]]) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope.cancel)
        await link.run()
