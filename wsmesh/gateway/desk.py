"""What all clients at a gateway share."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from math import ceil

from attrs import define, evolve, field

from wsmesh.config.sections import Config, Listener
from wsmesh.gateway.affinity import Affinity, Claim
from wsmesh.gateway.links import Links
from wsmesh.gateway.metrics import GatewayMetrics
from wsmesh.gateway.placing import Attempt, Placing
from wsmesh.gateway.relay import Relay
from wsmesh.gateway.site import GatewaySite
from wsmesh.gateway.turnstile import Turnstile
from wsmesh.ingress.tls import Certificate
from wsmesh.protocol import tickets
from wsmesh.protocol.resume import RETRY_AFTER_MS, TICKET
from wsmesh.security.addresses import TrustedProxies, client_address
from wsmesh.security.rate import Turns
from wsmesh.wire.http import response
from wsmesh.wire.refusal import error_body
from wsmesh.wire.request import Request


@define(eq=False, kw_only=True)
class Desk:
    """A reload exchanges `config`, `affinity` and `proxies`.

    :param secret: what tickets are signed with, empty: none can be read.

    :param clock: seconds, of one's own.
    :param wall: Unix time.
    :ivar arriving: clients that no node has yet.
    """

    config: Config
    placing: Placing
    links: Links
    relay: Relay
    affinity: Affinity
    proxies: TrustedProxies
    turnstile: Turnstile
    site: GatewaySite
    metrics: GatewayMetrics
    secret: bytes = field(repr=False)
    clock: Callable[[], float]
    wall: Callable[[], float] = time.time
    arriving: int = 0
    _turns: Turns = field(factory=Turns)

    def claim(self, arrival: Arriving) -> Claim:
        """Return what a client is placed by."""
        request, address = arrival.request, arrival.address
        if request is not None:
            values = request.header_values("x-forwarded-for")
            address = client_address(address, values, self.proxies)
        is_secure = arrival.certificate is not None
        claim = self.affinity.claim(request, address, self.wall(), is_secure=is_secure)
        ticket = None if request is None else request.header(TICKET)
        if ticket is None or not self.secret:
            return claim
        return evolve(claim, target=tickets.read(self.secret, ticket, self.wall()))

    def unavailable(self, why: str) -> bytes:
        """Return the whole answer to a client that has to come back later, each in its turn."""
        now, rate = self.clock(), self.config.failover.accept_rate
        accepting = sum(each.is_eligible for each in self.placing.fleet.view(now).members)
        after = self._turns.take(
            now, self.config.gateway.retry_after, 1 / (rate * max(1, accepting))
        )
        headers = (
            ("Content-Type", "application/json"), ("Retry-After", str(ceil(after))),
            (RETRY_AFTER_MS, str(ceil(1000 * after))),
        )
        return response(503, headers, error_body(503, why), keep_alive=False)

    def placed(self, arrival: Arriving, attempt: Attempt, way: str) -> None:
        """A node has the client."""
        attempt.taken()
        self.metrics.placing_seconds.observe(self.clock() - arrival.read_at)
        self.metrics.placed.add(way)


@define(eq=False)
class Arriving:
    """An accepted socket and what is known of its client.

    :param address: of the peer, empty on a Unix socket.
    :param certificate: the listener's, None: it speaks no TLS.
    :ivar begun: what was read from it, decrypted.
    :ivar request: whose head is at the start of `begun`, None: it is not known (yet).
    :ivar read_at: when it was.
    :ivar tried: members that did not take the client.
    """

    sock: socket.socket
    address: str
    listener: Listener
    certificate: Certificate | None
    begun: bytearray = field(factory=bytearray)
    request: Request | None = None
    read_at: float = 0.0
    claim: Claim | None = None
    tried: set[str] = field(factory=set)
