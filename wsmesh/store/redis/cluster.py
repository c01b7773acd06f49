"""A Redis Cluster: its masters, who serves which slot, and noticing that this has changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from functools import partial

import structlog
import trio
from redis.crc import key_slot

from wsmesh.config.redis_url import Address
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.connection import BROKEN, connect_to, connect_to_any, exchange, said
from wsmesh.store.redis.master import Master, Patron
from wsmesh.store.redis.settings import Settings
from wsmesh.store.redis.slots import SLOTS, SlotMap, parse_slots
from wsmesh.store.redis.upkeep import State

log = structlog.get_logger("wsmesh.redis")

LOOK_EVERY = 15.0
"""Seconds between looks while all is well."""

LOOK_AT_MOST_EVERY = 0.2
"""Seconds; what happens in between is one occasion."""

LOOK_IN_TROUBLE = 2.0
"""Seconds between looks when something has been wrong for long; at first they are shorter."""

KEPT = 10.0
"""Seconds a master without slots is kept after it was last named, as one that imports slots is."""


class Cluster:
    """Follows a cluster; implements `Topology`.

    :param rng: draws the order of the nodes asked, and waits.
    """

    def __init__(self, settings: Settings, rng: random.Random, patron: Patron) -> None:
        self.looked = trio.Event()
        self._settings = settings
        self._rng = rng
        self._patron = patron
        self._masters: dict[Address, Master] = {}
        self._named: dict[Address, float] = {}
        self._owners: list[Master | None] = [None] * SLOTS
        self._serving: dict[Master, None] = {}
        self._known: frozenset[Address] = frozenset(settings.target.addresses)
        self._any_slot = 0
        self._occasion = trio.Event()
        self._changed: Callable[[], None] = lambda: None
        self._trouble = ""

    def slot_of(self, key: bytes | None) -> int:
        """See `Topology`."""
        return self._any_slot if key is None else key_slot(key)

    def master_of(self, slot: int) -> Master | None:
        """See `Topology`."""
        return self._owners[slot]

    def masters(self) -> Collection[Master]:
        """See `Topology`: those with slots."""
        return tuple(self._serving)

    def at(self, address: Address) -> Master:
        """See `Topology`."""
        self._named[address] = trio.current_time()
        master = self._masters.get(address)
        if master is None:
            master = self._masters[address] = Master(
                str(address), partial(connect_to, self._settings, address),
                bounds=self._settings.bounds, rng=self._rng, patron=self._patron,
            )
        return master

    def moved(self, slot: int, address: Address) -> None:
        """See `Topology`."""
        old, new = self._owners[slot], self.at(address)
        if old is not new:
            if old is not None:
                self._patron.leaving(old.links.values(), slot.__eq__)
            self._owners[slot] = new
            self._serving[new] = None
            self._changed()
        self.look_again()

    def look_again(self) -> None:
        """See `Topology`."""
        self._occasion.set()

    async def run(self, changed: Callable[[], None]) -> None:
        """See `Topology`."""
        self._changed = changed
        well_at = trio.current_time()
        while True:
            self._occasion = trio.Event()
            found = await self._look()
            if found is not None:
                self._adopt(found)
            self.looked.set()
            is_well = found is not None and found.is_complete and self._is_well()
            if is_well:
                well_at = trio.current_time()
            pause = max(LOOK_AT_MOST_EVERY, (trio.current_time() - well_at) / 10)
            await trio.sleep(self._rng.uniform(0.5, 1.0) * min(LOOK_IN_TROUBLE, pause))
            if is_well:
                with trio.move_on_after(LOOK_EVERY):
                    await self._occasion.wait()

    async def _look(self) -> SlotMap | None:
        """Ask one node after the other; those that are connected first."""
        up = {
            address for address, master in self._masters.items()
            if any(each.state is State.UP for each in master.connections)
        }
        nodes = sorted({*self._known, *self._settings.target.addresses}, key=str)
        nodes = self._rng.sample(nodes, len(nodes))
        trouble = "no node is known"
        for address in sorted(nodes, key=lambda node: node not in up):
            try:
                found = await self._ask(address)
            except StoreUnavailable as error:
                trouble = str(error)
            else:
                self._trouble = ""
                return found
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("redis.cluster_unreachable", reason=trouble)
        return None

    async def _ask(self, address: Address) -> SlotMap:
        connection = await connect_to_any(self._settings, address)
        try:
            with trio.fail_after(self._settings.bounds.timeout):
                (reply,) = await exchange(connection.stream, [("CLUSTER", "SLOTS")])
            if isinstance(reply, Exception):
                raise StoreUnavailable(f"{address}: {reply}")
            return parse_slots(reply, address)
        except (*BROKEN, trio.TooSlowError, ValueError) as error:
            raise StoreUnavailable(f"{address}: {said(error)}") from error
        finally:
            await trio.aclose_forcefully(connection.stream)

    def _adopt(self, found: SlotMap) -> None:
        """Make a map the current one; what is under way to former owners comes first."""
        self._known = found.masters | found.replicas
        places = {address: self.at(address) for address in found.masters}
        owners = [None if each is None else places[each] for each in found.owners]
        if owners != self._owners:
            gone = {slot for slot in range(SLOTS) if owners[slot] is not self._owners[slot]}
            for master in self._masters.values():
                self._patron.leaving(master.links.values(), gone.__contains__)
            self._owners = owners
            self._serving = {master: None for master in owners if master is not None}
            self._any_slot = next((slot for slot, each in enumerate(owners) if each), 0)
            self._changed()
        now = trio.current_time()
        for address in [*self._masters]:
            if address not in places and now - self._named[address] > KEPT:
                self._masters.pop(address).stop()

    def _is_well(self) -> bool:
        return all(
            link.upkeep.state is not State.DOWN and not master.breaker.is_open
            for master in self._serving for link in master.links.values()
        )
