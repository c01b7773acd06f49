"""Which new connections a node takes: bounds for the node and for each address.

The order of the checks is the order of blame: an address that exceeds its own share is refused
before it can use up the node's.
"""

from __future__ import annotations

from attrs import frozen

from wsmesh.config.sections import LimitsSection
from wsmesh.security.addresses import is_local, network_of
from wsmesh.security.rate import GCRA, Rate, RateLimiter, Turns

RETRY_WHEN_FULL = 5.0
"""Seconds after which to come back when connections must end first: nobody knows when."""

RETURNING_SHARE = 4
"""One of so many places of a burst is only for clients that continue a session."""

RETRY_WHEN_CROWDED = 1.0
"""Seconds after which to come back when others only have to finish connecting."""


@frozen(slots=True)
class Refusal:
    """Why a connection is not taken.

    :param status: of the HTTP answer: 503 the node's fault, 429 the client's (RFC 6585).
    :param limit: name of the limit, for `wsmesh_limit_hits_total`.
    :param retry_after: seconds.
    :param is_turn: `retry_after` is this client's own moment.
    """

    status: int
    reason: str
    limit: str
    retry_after: float
    is_turn: bool = False


class Admission:
    """Counts connections and decides on new ones; times are of one monotonic clock.

    Ask `admit` once for each connection; tell `opened` when it is taken, `authenticated` when
    its connect command succeeded, and `closed` when it is gone.
    """

    def __init__(self, limits: LimitsSection, max_connections: int) -> None:
        self._max_connections = max_connections
        self._accepts = GCRA(Rate(limits.accept_rate, limits.accept_burst))
        self._connects = RateLimiter(limits.connects_per_ip, limits.connects_per_ip_burst)
        self._turns = Turns()
        self._limits = limits
        self._take_over(limits)
        self._open: dict[str, int] = {}
        self._connections = 0
        self._unauthenticated = 0

    def reconfigure(self, limits: LimitsSection) -> None:
        """Decide by other limits from now on; a rate that changed begins with a full burst."""
        old = self._limits
        if (old.accept_rate, old.accept_burst) != (limits.accept_rate, limits.accept_burst):
            self._accepts = GCRA(Rate(limits.accept_rate, limits.accept_burst))
        per_address = (limits.connects_per_ip, limits.connects_per_ip_burst)
        if (old.connects_per_ip, old.connects_per_ip_burst) != per_address:
            self._connects = RateLimiter(*per_address)
        self._limits = limits
        self._take_over(limits)

    def _take_over(self, limits: LimitsSection) -> None:
        share = self._max_connections * limits.unauthenticated_share
        self._max_unauthenticated = max(1, int(share))
        self._max_per_address = limits.max_connections_per_ip
        self._exempts_local = limits.loopback_exempt
        self._reserve = limits.accept_burst // RETURNING_SHARE / limits.accept_rate

    @property
    def connections(self) -> int:
        """Open connections."""
        return self._connections

    @property
    def unauthenticated(self) -> int:
        """Open connections whose connect command has not succeeded yet."""
        return self._unauthenticated

    @property
    def addresses(self) -> int:
        """Addresses (IPv6: /64 networks) with open connections."""
        return len(self._open)

    def connections_of(self, address: str) -> int:
        """Open connections of an address (IPv6: of its /64)."""
        return self._open.get(network_of(address), 0)

    def admit(self, address: str, now: float, *, is_returning: bool = False) -> Refusal | None:
        """Decide on a new connection; None takes it. O(1).

        :param address: of the client, "" on a Unix socket.
        :param is_returning: it says that it continues a session.
        """
        if self._connections >= self._max_connections:
            return self.turned_away(
                now, "too many connections", "max_connections", RETRY_WHEN_FULL
            )
        if not (self._exempts_local and is_local(address)):
            refusal = self._admit_address(network_of(address), now)
            if refusal is not None:
                return refusal
        if self._unauthenticated >= self._max_unauthenticated:
            return self.turned_away(
                now, "too many clients connecting", "unauthenticated_share", RETRY_WHEN_CROWDED
            )
        wait = self._accepts.admit(now, 0.0 if is_returning else self._reserve)
        if wait > 0.0:
            return self.turned_away(now, "too many new connections", "accept_rate", wait)
        return None

    def turned_away(self, now: float, reason: str, limit: str, wait: float) -> Refusal:
        """Return a refusal that is the node's fault, with a moment to come back.

        :param wait: seconds before which it makes no sense.
        """
        after = self._turns.take(now, wait, self._accepts.rate.interval)
        return Refusal(503, reason, limit, after, is_turn=True)

    def _admit_address(self, network: str, now: float) -> Refusal | None:
        if self._open.get(network, 0) >= self._max_per_address:
            return Refusal(
                429,
                "too many connections of this address",
                "max_connections_per_ip",
                RETRY_WHEN_FULL,
            )
        wait = self._connects.admit(network, now)
        if wait > 0.0:
            return Refusal(429, "this address connects too often", "connects_per_ip", wait)
        return None

    def opened(self, address: str) -> None:
        """Count a connection that was taken."""
        network = network_of(address)
        self._open[network] = self._open.get(network, 0) + 1
        self._connections += 1
        self._unauthenticated += 1

    def authenticated(self, address: str) -> None:
        """Count that a connection's connect command succeeded.

        :raises ValueError: no connection of the address is open, or none is unauthenticated.
        """
        if network_of(address) not in self._open or not self._unauthenticated:
            raise ValueError(f"no unauthenticated connection of {address!r} is open")
        self._unauthenticated -= 1

    def closed(self, address: str, was_authenticated: bool) -> None:
        """Count that a connection is gone.

        :raises ValueError: no such connection is open.
        """
        network = network_of(address)
        count = self._open.get(network, 0)
        if not count or not (was_authenticated or self._unauthenticated):
            raise ValueError(f"no such connection of {address!r} is open")
        if count == 1:
            del self._open[network]
        else:
            self._open[network] = count - 1
        self._connections -= 1
        if not was_authenticated:
            self._unauthenticated -= 1
