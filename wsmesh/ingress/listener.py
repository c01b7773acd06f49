"""Listening sockets: opening them, and taking the connections that arrive."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from typing import Any

import structlog

from wsmesh.config.addresses import TCPAddress, UnixAddress, parse_address
from wsmesh.config.sections import Listener
from wsmesh.errors import ConfigError
from wsmesh.ingress.connection import Connection
from wsmesh.ingress.http_phase import HTTPPhase
from wsmesh.ingress.isolation import isolated
from wsmesh.ingress.proxied import ProxiedPhase
from wsmesh.ingress.reception import Reception
from wsmesh.ingress.tls import Certificate, TLSSocket

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
        _remove_stale(address.path)
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


def _remove_stale(path: str) -> None:
    """Remove the socket file of a process that is gone; one that answers is left alone."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
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

    :param spawn: `start_soon` of the nursery that owns the connections.
    :ivar address: where this door is, as `[[listeners]] address` writes it.
    :param room: open sockets the process can hold; beyond it connections are closed at once.
    """

    def __init__(
        self, sock: socket.socket, listener: Listener, reception: Reception,
        certificate: Certificate | None, spawn: Callable[..., Any], room: int,
    ) -> None:
        self._socket = sock
        self._listener = listener
        self._reception = reception
        self._certificate = certificate
        self._spawn = spawn
        self._room = room
        self.address = name_of(sock)
        self._is_tcp = sock.family != socket.AF_UNIX
        reception.doorway.pump.register(sock.fileno(), self)

    def close(self) -> None:
        """Take no further connections; harmless when already closed."""
        if self._socket.fileno() < 0:
            return
        self._reception.doorway.pump.forget(self._socket.fileno())
        path = "" if self._is_tcp else self._socket.getsockname()
        self._socket.close()
        if path:
            os.unlink(path)

    def on_readable(self) -> None:
        """Take what is waiting, up to `ACCEPTS` connections."""
        doorway = self._reception.doorway
        for _ in range(ACCEPTS):
            try:
                sock, name = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._rest(error)
                return
            if doorway.connections >= self._room:
                doorway.metrics.limit_hit("descriptors")
                sock.close()
                continue
            self._take(sock, name[0] if self._is_tcp else "")

    def on_fault(self, fault: Exception) -> None:
        """A connection could not be set up; the others go on."""
        log.error("accept.failed", exc_info=fault)

    def _take(self, sock: socket.socket, address: str) -> None:
        doorway = self._reception.doorway
        sock.setblocking(False)
        if self._is_tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = sock if self._certificate is None else TLSSocket(sock, self._certificate.context)
        connection = Connection(
            doorway, end, address, is_secure=self._certificate is not None
        )
        begin = ProxiedPhase if self._listener.proxy_protocol == "required" else HTTPPhase
        connection.phase = begin(connection, self._reception)
        doorway.connections += 1
        self._spawn(isolated, connection, doorway)

    def _rest(self, error: OSError) -> None:
        """The system has nothing left: wait a little instead of trying again at once."""
        doorway = self._reception.doorway
        fd = self._socket.fileno()
        log.error("accept.refused", error=error.strerror)
        doorway.metrics.limit_hit("descriptors")
        doorway.pump.pause(fd)
        doorway.timers.after(PAUSE, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._reception.doorway.pump.resume(self._socket.fileno())
