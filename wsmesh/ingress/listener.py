"""Listening sockets: opening them, and taking the connections that arrive."""

from __future__ import annotations

import errno
import os
import socket
import stat

import structlog

from wsmesh.config.addresses import TCPAddress, UnixAddress, parse_address
from wsmesh.config.sections import Listener
from wsmesh.errors import ConfigError
from wsmesh.ingress.intake import Intake
from wsmesh.ingress.tls import Certificate

ACCEPTS = 64
"""Connections taken in one turn of the pump."""

PAUSE = 0.1
"""Seconds without accepting after the system refused one (no descriptors, no memory)."""

log = structlog.get_logger("wsmesh.listener")


def open_socket(listener: Listener) -> socket.socket:
    """Open one listening socket.

    :raises ConfigError: naming the address and why it cannot be used.
    """
    address = parse_address(listener.address)
    family = socket.AF_INET
    if isinstance(address, UnixAddress):
        remove_stale(address.path, socket.SOCK_STREAM)
        family, where = socket.AF_UNIX, address.path
    else:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        where = (address.host, address.port)  # type: ignore[assignment]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if isinstance(address, TCPAddress):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if listener.reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(where)
        sock.listen(listener.backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ConfigError("listeners", [f"{listener.address}: {_explained(error)}"]) from error
    return sock


def _explained(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the address is in use; stop what listens there, or choose another --port"
        case errno.EACCES:
            return "not allowed; ports below 1024 need privileges"
        case errno.EADDRNOTAVAIL:
            return "this host has no such address"
        case _:
            return error.strerror or str(error)


def remove_stale(path: str, kind: int) -> None:
    """Remove the socket file of a process that is gone; one that answers is left alone.

    :param kind: `SOCK_STREAM` or `SOCK_SEQPACKET`.
    """
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def name_of(sock: socket.socket) -> str:
    """Return the address a socket really listens on, as `[[listeners]] address` writes it."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{host}:{name[1]}"


class Door:
    """A listening socket in the pump: takes connections and starts serving them.

    :ivar address: where this door is, as `[[listeners]] address` writes it.
    """

    def __init__(
        self, sock: socket.socket, listener: Listener, intake: Intake,
        certificate: Certificate | None,
    ) -> None:
        self._socket = sock
        self._intake = intake
        self._doorway = intake.reception.doorway
        self._certificate = certificate
        self._is_proxied = listener.proxy_protocol == "required"
        self.address = name_of(sock)
        self._is_tcp = sock.family != socket.AF_UNIX
        self._doorway.pump.register(sock.fileno(), self)

    def close(self) -> None:
        """Take no further connections; harmless when already closed."""
        if self._socket.fileno() < 0:
            return
        self._doorway.pump.forget(self._socket.fileno())
        path = "" if self._is_tcp else self._socket.getsockname()
        self._socket.close()
        if path:
            os.unlink(path)

    def on_readable(self) -> None:
        """Take what is waiting, up to `ACCEPTS` connections."""
        for _ in range(ACCEPTS):
            try:
                sock, name = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._rest(error)
                return
            if not self._intake.has_room:
                self._doorway.metrics.limit_hit("descriptors")
                sock.close()
                continue
            self._intake.take(
                sock, name[0] if self._is_tcp else "", certificate=self._certificate,
                is_proxied=self._is_proxied,
            )

    def on_fault(self, fault: Exception) -> None:
        """A connection could not be set up; the others go on."""
        log.error("accept.failed", exc_info=fault)

    def _rest(self, error: OSError) -> None:
        """The system has nothing left: wait a little instead of trying again at once."""
        doorway = self._doorway
        fd = self._socket.fileno()
        log.error("accept.refused", error=error.strerror)
        doorway.metrics.limit_hit("descriptors")
        doorway.pump.pause(fd)
        doorway.timers.after(PAUSE, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._doorway.pump.resume(self._socket.fileno())
