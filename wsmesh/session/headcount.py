"""How many connections a user may have on all nodes together.

Counted in the store, each connection for a while and renewed, so that those of a node that is
killed stop counting by themselves; whoever meets them before that asks the view whether their
node lives. While the store is away each node counts its own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from itertools import islice

import structlog
import trio

from wsmesh.errors import StoreUnavailable
from wsmesh.store.users import UserStore

TTL = 60.0
"""Seconds that a connection counts without being renewed."""

TOGETHER = 500
"""Connections in one pipeline."""

FAREWELL = 1.0
"""Seconds for telling the store, when the node stops, that its connections are gone."""

RETRY = 1.0

log = structlog.get_logger("wsmesh.limits")


class Headcount:
    """The connections of this node that are counted.

    :param store: None: this node alone counts, and nothing is done here.
    :param owner: returns `node/incarnation` of this node as it is now.
    :param is_gone: whether a node, `node/incarnation`, is known to be dead or to have left.
    """

    def __init__(
        self, store: UserStore | None, owner: Callable[[], str], is_gone: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._owner = owner
        self._is_gone = is_gone
        # client -> user and the owner it was counted for.
        self._counted: dict[str, tuple[str, str]] = {}
        self._leaving: dict[str, tuple[str, str]] = {}
        self._left = trio.Event()

    def __len__(self) -> int:
        return len(self._counted)

    @property
    def is_shared(self) -> bool:
        """Whether other nodes' connections count."""
        return self._store is not None

    async def enter(self, user: str, client: str, limit: int) -> bool:
        """Count a connection of a user; return whether the user may have it."""
        assert self._store is not None
        owner = self._owner()
        try:
            is_admitted, owners = await self._store.admit_connection(
                user, client, owner, limit=limit, ttl=TTL
            )
            gone = [each for each in owners if each != owner and self._is_gone(each)]
            if not is_admitted and gone:
                is_admitted, _ = await self._store.admit_connection(
                    user, client, owner, limit=limit, ttl=TTL, gone=gone
                )
        except StoreUnavailable as error:
            log.warning("limits.store_away", error=str(error))
            return True
        if is_admitted:
            self._counted[client] = (user, owner)
        return is_admitted

    def leave(self, client: str) -> None:
        """Count a connection no more; the store is told soon."""
        counted = self._counted.pop(client, None)
        if counted is not None:
            self._leaving[client] = counted
            self._left.set()

    async def run(self) -> None:
        """Tell the store who left, and renew the others, until cancelled; then all have left."""
        store = self._store
        if store is None:
            return
        try:
            await self._keep(store)
        finally:
            for client in tuple(self._counted):
                self.leave(client)
            with trio.move_on_after(FAREWELL, shield=True), suppress(StoreUnavailable):
                await self._tell(store)

    async def _keep(self, store: UserStore) -> None:
        renew_at = trio.current_time() + TTL / 3
        while True:
            with trio.move_on_at(renew_at):
                await self._left.wait()
            try:
                await self._tell(store)
                if trio.current_time() >= renew_at:
                    renew_at = trio.current_time() + TTL / 3
                    await self._renew(store)
            except StoreUnavailable as error:
                log.warning("limits.store_away", error=str(error))
                await trio.sleep(RETRY)

    async def _tell(self, store: UserStore) -> None:
        self._left = trio.Event()
        while self._leaving:
            some = dict(islice(self._leaving.items(), TOGETHER))
            await store.end_connections(
                [(user, client, owner) for client, (user, owner) in some.items()]
            )
            for client in some:
                del self._leaving[client]

    async def _renew(self, store: UserStore) -> None:
        owner = self._owner()
        counted = iter(tuple(self._counted.items()))
        while some := [
            (user, client)
            for client, (user, _) in islice(counted, TOGETHER)
        ]:
            here = [each for each in some if each[1] in self._counted]
            await store.renew_connections(here, owner, TTL)
            for user, client in here:
                if client in self._counted:
                    self._counted[client] = (user, owner)
                else:
                    self._leaving[client] = (user, owner)
