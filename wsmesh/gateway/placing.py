"""Placing one client: who is asked, in which order, and what is learned from the answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Set

import structlog
from attrs import define, field

from balancers import Member
from balancers.balancer import Balancer
from balancers.hashing import hash_bytes
from wsmesh.gateway.fleet import Fleet, Route

log = structlog.get_logger("wsmesh.gateway")


@define(eq=False)
class Placing:
    """Finds nodes for clients by the balancer that is in use.

    :param failed: told of each attempt that failed, with the reason.
    :ivar balancer: may be exchanged at any time.
    """

    fleet: Fleet
    balancer: Balancer
    _rng: random.Random
    clock: Callable[[], float]
    failed: Callable[[str], None]
    seed: bytes = field(default=b"", repr=False)

    def hashed(self, key: bytes | None) -> int:
        """Return the number that strategies place a key by; without a key, any."""
        return self._rng.getrandbits(64) if key is None else hash_bytes(key, self.seed)

    def ranked(self, key: int) -> list[Member]:
        """Return the members that a client would be placed on, in order of preference."""
        return list(self.balancer.rank(key, self.fleet.view(self.clock())))

    def attempt(
        self, key: int, tried: Set[str] = frozenset(), target: str = ""
    ) -> Attempt | None:
        """Pick the first member in rank that was not tried; None: there is none.

        It counts as having the client from now on, so that a burst does not all go there; what
        became of it must be told to the attempt.

        :param target: member that has a place for it, whatever its weight; where it takes nobody,
            rank decides.
        """
        balancer = self.balancer
        now = self.clock()
        view = self.fleet.view(now)
        wanted = view.by_id.get(target) if target and target not in tried else None
        is_wanted = (
            wanted is not None and wanted.is_accepting and wanted.connections < wanted.capacity
        )
        if is_wanted:
            member = wanted
        elif tried:
            ranked = balancer.rank(key, view)
            member = next((each for each in ranked if each.id not in tried), None)
        else:
            member = balancer.pick(key, view)
        route = None if member is None else self.fleet.route(member.id)
        if member is None or route is None:
            return None
        balancer.opened(member.id)
        is_first = not (tried or is_wanted)
        return Attempt(member.id, route, key, self, balancer, now, is_first=is_first)


@define(eq=False)
class Attempt:
    """A node that is tried for a client: `taken`, `failed` or `ended` says what came of it."""

    member: str
    route: Route
    _key: int
    _placing: Placing
    _balancer: Balancer
    _began: float
    _is_first: bool = field(kw_only=True)

    def taken(self) -> None:
        """The node took the client."""
        self._balancer.observed(self.member, self._placing.clock() - self._began)
        if not self._is_first:
            self._balancer.placed(self._key, self.member)

    def ended(self) -> None:
        """The client is gone, and the gateway saw it; that says nothing of the node."""
        self._balancer.closed(self.member)

    def failed(self, reason: str) -> None:
        """The node did not take the client: it gets nobody for a while."""
        self._balancer.closed(self.member)
        self._balancer.observed(self.member, None)
        self._placing.failed(reason)
        self._placing.fleet.suspect(self.member, self._placing.clock())
        log.info("gateway.not_taken", node=self.member, reason=reason)
