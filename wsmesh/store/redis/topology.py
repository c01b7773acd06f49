"""Which master serves a key: what every kind of deployment answers, and the simplest one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

import trio

from wsmesh.config.redis_url import Address
from wsmesh.store.redis.master import Master


class Topology(Protocol):
    """The masters, and who of them serves what.

    :ivar looked: set when the masters were looked for the first time, successfully or not.
    """

    looked: trio.Event

    def slot_of(self, key: bytes | None) -> int:
        """Return the slot of a key; None is for commands that any master may execute."""

    def master_of(self, slot: int) -> Master | None:
        """Return who serves a slot now, None when nobody is known to."""

    def masters(self) -> Collection[Master]:
        """Return the masters known now."""

    def at(self, address: Address) -> Master:
        """Return the master at an address that the servers named."""

    def moved(self, slot: int, address: Address) -> None:
        """A server said that a slot is served elsewhere."""

    def look_again(self) -> None:
        """What is known may be out of date: ask soon."""

    async def run(self, changed: Callable[[], None]) -> None:
        """Follow the deployment until cancelled.

        :param changed: called after masters came, went or exchanged slots.
        """


class Standalone:
    """One server, known by its address."""

    def __init__(self, master: Master) -> None:
        self.looked = trio.Event()
        self._master = master

    def slot_of(self, key: bytes | None) -> int:
        """See `Topology`: there is but one."""
        return 0

    def master_of(self, slot: int) -> Master | None:
        """See `Topology`."""
        return self._master

    def masters(self) -> Collection[Master]:
        """See `Topology`."""
        return (self._master,)

    def at(self, address: Address) -> Master:
        """See `Topology`: redirections cannot be followed."""
        return self._master

    def moved(self, slot: int, address: Address) -> None:
        """See `Topology`: a server of a cluster, configured as a single one."""

    def look_again(self) -> None:
        """See `Topology`: nobody to ask."""

    async def run(self, changed: Callable[[], None]) -> None:
        """See `Topology`: nothing ever changes."""
        self.looked.set()
        await trio.sleep_forever()
