"""Taking a client's socket, however it came here: the connection is set up and lives on its own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen

from wsmesh.ingress.connection import Connection
from wsmesh.ingress.http_phase import HTTPPhase
from wsmesh.ingress.isolation import isolated
from wsmesh.ingress.proxied import ProxiedPhase
from wsmesh.ingress.reception import Reception
from wsmesh.ingress.tls import Certificate, TLSSocket


@frozen(eq=False)
class Intake:
    """Where sockets become connections.

    :param spawn: `start_soon` of the nursery that owns the connections.
    :param room: open sockets the process can hold.
    """

    reception: Reception
    spawn: Callable[..., Any]
    room: int

    @property
    def has_room(self) -> bool:
        """Whether the process can hold another socket."""
        return self.reception.doorway.connections < self.room

    def take(
        self, sock: socket.socket, address: str, *, certificate: Certificate | None,
        is_proxied: bool = False, is_secure: bool = False, begun: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Serve a client from now on; the socket is the connection's.

        :param address: of the peer, empty on a Unix socket.
        :param certificate: TLS is spoken with it; None: none is.
        :param is_proxied: a PROXY header comes first.
        :param is_secure: somebody else speaks TLS with the client.
        :param begun: what was read from the socket before it came here.
        :param headers: further fields for the answer to an upgrade.
        """
        doorway = self.reception.doorway
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = sock if certificate is None else TLSSocket(sock, certificate.context)
        connection = Connection(
            doorway, end, address, is_secure=is_secure or certificate is not None
        )
        if is_proxied:
            connection.phase = ProxiedPhase(connection, self.reception)
        else:
            connection.phase = HTTPPhase(connection, self.reception, headers)
        doorway.connections += 1
        self.spawn(isolated, connection, doorway, begun)
