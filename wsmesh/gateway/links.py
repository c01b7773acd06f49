"""Links to the nodes of this host: their reports, and handing clients over to them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog
import trio
from attrs import define, field, frozen

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


Settled = Callable[[str], None]
"""Told why a client was refused, or empty: it was taken."""


@frozen(kw_only=True)
class Client:
    """What a node is told with a client's socket; see `wsmesh.protocol.control.Handover`."""

    address: str
    is_secure: bool = False
    begun: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    tls: bool = False


@define(eq=False)
class NodeLink:
    """The control link to one node.

    A handover has exactly one end: the node answered that it took the client, or the link is shut
    before it could say so; then its answer cannot be sent, and it does not touch the client.
    """

    path: str
    _fleet: Fleet
    _timeout: float
    _socket: socket.socket | None = field(default=None, init=False)
    _waiting: dict[int, tuple[float, Settled]] = field(factory=dict, init=False)
    _number: int = field(default=0, init=False)

    async def run(self) -> None:
        """Keep the link open until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            await self._keep_open()

    async def _keep_open(self) -> None:
        while True:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.setblocking(False)
                sock.connect(self.path)
                try:
                    await self._converse(sock)
                finally:
                    self._lost(sock)
            await trio.sleep(RETRY)

    def offer(self, sock: socket.socket, client: Client, settled: Settled) -> str:
        """Send a client to the node, whose answer `settled` is told, at the latest in time.

        Until then the socket must stay open and untouched; when it was taken, close it.

        :raises BlockingIOError: the link is full; `settled` will not be called.
        :returns: why the link cannot be used, empty when the client is on its way.
        """
        link = self._socket
        if link is None:
            return "no link"
        number = self._number + 1
        message = encode(
            Handover(
                number=number, address=client.address, is_secure=client.is_secure,
                begun=client.begun, headers=client.headers, tls=client.tls,
            )
        )
        try:
            socket.send_fds(link, [message], [sock.fileno()])
        except BlockingIOError:
            raise
        except OSError:
            self._give_up(link)
            return "link lost"
        self._number = number
        self._waiting[number] = (trio.current_time() + self._timeout, settled)
        return ""

    async def hand_over(self, sock: socket.socket, client: Client) -> str:
        """Hand a client over; return why it was refused, empty when it was taken.

        When it was taken, close `sock` without touching it; otherwise it is still the caller's.
        """
        answers: list[str] = []
        answered = trio.Event()

        def settled(reason: str) -> None:
            answers.append(reason)
            answered.set()

        while True:
            try:
                reason = self.offer(sock, client, settled)
            except BlockingIOError:
                link = self._socket
                assert link is not None
                await trio.lowlevel.wait_writable(link)
                continue
            if reason:
                return reason
            # Whose client it is must be known; it will be, in time.
            with trio.CancelScope(shield=True):
                await answered.wait()
            return answers[0]

    async def _watch(self) -> None:
        """Give up a link whose node leaves a client unanswered."""
        while True:
            await trio.sleep(self._timeout / 4)
            oldest = next(iter(self._waiting.values()), None)
            if oldest is not None and self._socket and oldest[0] < trio.current_time():
                self._give_up(self._socket)

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
                    self._settle(number, "")
                case Refused(number, reason):
                    self._settle(number, reason or "refused")
                case _:
                    raise MalformedControl("expected a report or an answer")
        return True

    def _settle(self, number: int, refused: str) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            waiting[1](refused)

    def _lost(self, sock: socket.socket) -> None:
        if self._socket is sock:
            self._socket = None
        self._fleet.lost(self.path)
        waiting, self._waiting = self._waiting, {}
        for _, settled in waiting.values():
            settled("no answer")


@define(eq=False)
class Links:
    """The links to all nodes of this host.

    :param timeout: seconds that a node has to take or refuse a client.
    :param paths: control sockets by hand.
    :param directory: every `*.sock` in it is one; empty: none.
    """

    _fleet: Fleet
    _timeout: float
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
                    link = self._links[path] = NodeLink(path, self._fleet, self._timeout)
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
