"""The control socket of a node, or of a gateway: reports go out, handed-over clients come in.

What is said is in `wsmesh.protocol.control`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog
import trio
from attrs import define, field

from wsmesh.errors import ConfigError
from wsmesh.ingress.listener import remove_stale
from wsmesh.protocol.control import (
    LARGEST,
    REPORT_INTERVAL,
    Handover,
    MalformedControl,
    Message,
    Refused,
    Report,
    Taken,
    decode,
    encode,
)

AT_ONCE = 64
"""Messages of one link that are read before others get their turn."""

log = structlog.get_logger("wsmesh.control")


class Taker(Protocol):
    """Takes clients that a gateway hands over."""

    def refusal(self, handover: Handover) -> str:
        """Return why the client cannot be taken; empty when it can."""

    def adopt(self, handover: Handover, sock: socket.socket) -> None:
        """Serve the client; `refusal` was just asked."""


def open_control(path: str, option: str) -> socket.socket:
    """Open the listening socket, for this user only.

    :param option: that names the path, for the error.
    :raises ConfigError: it cannot be opened.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        remove_stale(path, socket.SOCK_SEQPACKET)
        sock.bind(path)
        os.chmod(path, 0o600)
        sock.listen(16)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ConfigError(option, [f"{option}: {path}: {error.strerror or error}"]) from error
    return sock


@define(eq=False)
class ControlSocket:
    """Reports to everybody who connects, and takes what they hand over.

    :param report: returns the report of this number.
    :param taker: None: no clients are taken here.
    """

    _socket: socket.socket
    _report: Callable[[int], Report]
    _taker: Taker | None = None
    _links: set[socket.socket] = field(factory=set, init=False)
    _number: int = field(default=0, init=False)
    _changed: trio.Event = field(factory=trio.Event, init=False)

    def tell(self) -> None:
        """Something changed that should not wait for the next report."""
        self._changed.set()

    async def run(self) -> None:
        """Serve until cancelled; the socket and its file are gone then."""
        path = self._socket.getsockname()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_reporting)
                while True:
                    await trio.lowlevel.wait_readable(self._socket)
                    with suppress(OSError):
                        nursery.start_soon(self._serve, self._socket.accept()[0])
        finally:
            self._socket.close()
            with suppress(FileNotFoundError):
                os.unlink(path)

    async def _keep_reporting(self) -> None:
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(REPORT_INTERVAL):
                await self._changed.wait()
            self._number += 1
            report = self._report(self._number)
            for link in tuple(self._links):
                # One that does not read gets the next one, or has just gone.
                with suppress(OSError):
                    _send(link, report)

    async def _serve(self, link: socket.socket) -> None:
        with link:
            link.setblocking(False)
            self._links.add(link)
            try:
                _send(link, self._report(self._number))
                while self._read(link):
                    await trio.lowlevel.wait_readable(link)
            except MalformedControl as error:
                log.error("control.malformed", error=str(error))
            except OSError as error:
                log.debug("control.lost", error=str(error))
            finally:
                self._links.discard(link)

    def _read(self, link: socket.socket) -> bool:
        """Read what is there; return whether there may be more later.

        :raises MalformedControl: it cannot be understood.
        :raises OSError: the link is broken.
        """
        for _ in range(AT_ONCE):
            try:
                data, fds, _, _ = socket.recv_fds(link, LARGEST, 4)
            except BlockingIOError:
                return True
            sockets = [socket.socket(fileno=fd) for fd in fds]
            try:
                if not data:
                    return False
                self._hear(link, data, sockets)
            finally:
                for sock in sockets:
                    sock.close()
        return True

    def _hear(self, link: socket.socket, data: bytes, sockets: list[socket.socket]) -> None:
        message = decode(data)
        if not isinstance(message, Handover):
            raise MalformedControl(f"expected a handover, found {type(message).__name__}")
        reason = "takes no clients"
        if self._taker is not None:
            reason = self._taker.refusal(message)
        if len(sockets) != 1:
            # The kernel drops a descriptor for which this process has no room.
            reason = reason or "no free descriptors"
        if self._taker is None or reason:
            _send(link, Refused(message.number, reason))
            return
        # Once this is sent the client is ours; if it cannot be, it never was.
        _send(link, Taken(message.number))
        self._taker.adopt(message, sockets.pop())


def _send(link: socket.socket, message: Message) -> None:
    link.send(encode(message))
