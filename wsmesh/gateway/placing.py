"""Placing one client: who is asked, in which order, and what is learned from the answers."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import structlog
from attrs import define, field, frozen

from balancers import Member
from balancers.balancer import Balancer
from balancers.hashing import hash_bytes
from wsmesh.gateway.fleet import Fleet, Route

log = structlog.get_logger("wsmesh.gateway")


Attempt = Callable[[Route], Awaitable[str]]
"""Tries one node; returns why it did not take the client, empty when it did."""


@frozen(eq=False)
class Placement:
    """A client that a node took."""

    member: str
    _balancer: Balancer

    def ended(self) -> None:
        """Count the connection's end, if the gateway sees it."""
        self._balancer.closed(self.member)


@define(eq=False)
class Placing:
    """Finds nodes for clients by the balancer that is in use.

    :param failed: told of each attempt that failed, with the reason.
    :param attempts: nodes that are tried for a client.
    :ivar balancer: may be exchanged at any time.
    """

    fleet: Fleet
    balancer: Balancer
    _rng: random.Random
    _clock: Callable[[], float]
    _failed: Callable[[str], None]
    attempts: int = 4
    seed: bytes = field(default=b"", repr=False)

    def hashed(self, key: bytes | None) -> int:
        """Return the number that strategies place a key by; without a key, any."""
        return self._rng.getrandbits(64) if key is None else hash_bytes(key, self.seed)

    def ranked(self, key: int) -> list[Member]:
        """Return the members that a client would be placed on, in order of preference."""
        return list(self.balancer.rank(key, self.fleet.view(self._clock())))

    async def place(self, key: int, attempt: Attempt) -> Placement | None:
        """Try nodes in the order of preference until one takes the client; None: none did.

        A node counts as having the client from the pick on, so that a burst does not all go
        there, and a node that does not take it gets nobody for a while.
        """
        balancer, fleet = self.balancer, self.fleet
        tried: set[str] = set()
        for _ in range(self.attempts):
            member = self._next(balancer, key, tried)
            route = None if member is None else fleet.route(member.id)
            if member is None or route is None:
                return None
            balancer.opened(member.id)
            began = self._clock()
            taken = False
            try:
                reason = await attempt(route)
                taken = not reason
            finally:
                if not taken:
                    balancer.closed(member.id)
            if taken:
                balancer.observed(member.id, self._clock() - began)
                if tried:
                    balancer.placed(key, member.id)
                return Placement(member.id, balancer)
            self._failed(reason)
            log.info("gateway.not_taken", node=member.id, reason=reason)
            balancer.observed(member.id, None)
            fleet.suspect(member.id, self._clock())
            tried.add(member.id)
        return None

    def _next(self, balancer: Balancer, key: int, tried: set[str]) -> Member | None:
        view = self.fleet.view(self._clock())
        if not tried:
            return balancer.pick(key, view)
        return next((each for each in balancer.rank(key, view) if each.id not in tried), None)
