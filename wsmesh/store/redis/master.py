"""A master: its circuit breaker and its links, opened when they are needed."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

from wsmesh.config.redis_url import Address
from wsmesh.store.redis.backoff import Backoff
from wsmesh.store.redis.breaker import Breaker
from wsmesh.store.redis.connection import Connection
from wsmesh.store.redis.link import Link
from wsmesh.store.redis.pipeline import Operation, Role
from wsmesh.store.redis.settings import Bounds
from wsmesh.store.redis.totals import Totals
from wsmesh.store.redis.upkeep import Upkeep

Spawn = Callable[[Callable[[], Awaitable[object]]], None]
"""Runs a task for as long as the client runs."""


class Patron(Protocol):
    """Whom the links of all masters serve."""

    totals: Totals

    def refused(self, link: Link, operation: Operation, error: Exception) -> None:
        """An operation was answered with an error."""

    def troubled(self) -> None:
        """A link was lost, cannot be made, or misses its deadlines."""

    def leaving(self, links: Iterable[Link], slots: Callable[[int], bool]) -> None:
        """Slots go elsewhere: what is on its way for them on these links comes first."""

    def spawn(self, job: Callable[[], Awaitable[object]]) -> None:
        """Run a task for as long as the client runs."""


class Master:
    """A server that takes writes, or the one that the sentinels name at the moment.

    :param name: of the server: its address; may change under Sentinel.
    :ivar connections: all that were made, that for pub/sub too.
    :param connect: opens a connection to it; raises StoreUnavailable.
    """

    def __init__(
        self, name: str, connect: Callable[[], Awaitable[Connection]], *, bounds: Bounds,
        rng: random.Random, patron: Patron,
    ) -> None:
        self.name = name
        self.connect = connect
        self.breaker = Breaker()
        self.links: dict[Role, Link] = {}
        self.connections: list[Upkeep] = []
        self._bounds = bounds
        self._rng = rng
        self._patron = patron

    def link(self, role: Role) -> Link:
        """Return the link for a role, made and started when there is none yet."""
        link = self.links.get(role)
        if link is None:
            link = self.links[role] = Link(
                f"{self.name} {role.value}", self.connect, bounds=self._bounds,
                breaker=self.breaker, backoff=Backoff(self._rng), totals=self._patron.totals,
                refused=self._patron.refused, troubled=self._patron.troubled,
            )
            self.connections.append(link.upkeep)
            self._patron.spawn(link.run)
        return link

    def move(self, address: Address) -> None:
        """Make all connections anew that do not lead to `address`."""
        for connection in self.connections:
            if connection.address != address:
                connection.drop(f"the master is now {address}")
                connection.hurry()

    def is_elsewhere(self, address: Address) -> bool:
        """Whether a connection leads to another address."""
        return any(connection.address != address for connection in self.connections)

    def stop(self) -> None:
        """Close the links, each when what it was given has been answered."""
        for link in self.links.values():
            link.after_these(partial(_stop, link))
        self.links = {}


def _stop(link: Link, _: object) -> None:
    link.upkeep.stop()
