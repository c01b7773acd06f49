"""The first phase on listeners that require a PROXY header (HAProxy's proxy-protocol.txt)."""

from __future__ import annotations

from wsmesh.ingress.connection import Connection
from wsmesh.ingress.http_phase import HTTPPhase
from wsmesh.ingress.phase import Job
from wsmesh.ingress.reception import Reception
from wsmesh.wire.proxy_protocol import ProxyHeaderError, parse


class ProxiedPhase:
    """Waits for the PROXY header, then hands over to HTTP. Never guesses whether one is there."""

    __slots__ = ("_connection", "_held", "_reception")

    def __init__(self, connection: Connection, reception: Reception) -> None:
        self._connection = connection
        self._reception = reception
        self._held = b""
        connection.alarm(reception.config.proxy.header_timeout, self._refuse)

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._held += data
        try:
            header = parse(self._held)
        except ProxyHeaderError:
            self._refuse()
            return
        if header is None:
            return
        if self._connection.peer not in self._reception.proxies:
            self._refuse()
            return
        if header.source is not None:
            self._connection.peer = self._connection.address = header.source[0]
        rest = self._held[header.length :]
        phase = HTTPPhase(self._connection, self._reception)
        self._connection.phase = phase
        if rest:
            phase.receive(rest)

    def lost(self, code: int, reason: str) -> list[Job]:
        """Nothing has to be told to anybody."""
        return []

    def shut_down(self) -> None:
        """The node stops."""
        self._connection.lost()

    def _refuse(self) -> None:
        self._reception.doorway.metrics.limit_hit("proxy_header")
        self._connection.lost()
