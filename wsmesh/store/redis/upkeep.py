"""Keeping a connection: connect, converse until it breaks, wait, connect again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum, auto
from functools import partial
from typing import Protocol

import structlog
import trio

from wsmesh.config.redis_url import Address
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.backoff import Backoff
from wsmesh.store.redis.connection import BROKEN, Connection, said
from wsmesh.store.redis.totals import Totals

log = structlog.get_logger("wsmesh.redis")

HELD = 1.0
"""Seconds a connection has to hold before its loss counts as the first one again."""

Job = Callable[[trio.abc.Stream], Awaitable[None]]
"""One direction of a conversation; returns or raises one of `BROKEN` when it is over."""


class State(Enum):
    """How a connection stands."""

    CONNECTING = auto()
    """The first attempt since the start, or since the loss, is under way."""
    UP = auto()
    DOWN = auto()
    """The last attempt failed; further ones follow."""


class Party(Protocol):
    """Who converses over the connection."""

    def came_up(self, connection: Connection) -> tuple[Job, ...]:
        """A connection was made; return what is to be done on it, side by side."""

    def went_down(self, reason: str) -> None:
        """The connection was lost, or (state DOWN) none could be made."""


class Upkeep:
    """A connection that comes back.

    :param name: for the log, e.g. `127.0.0.1:6379 publish`.
    :param connect: opens and logs in; raises StoreUnavailable.
    :ivar address: what it is, or was last, connected to.
    :ivar tried: set when the first attempt has ended, well or not.
    """

    def __init__(
        self, name: str, connect: Callable[[], Awaitable[Connection]], backoff: Backoff,
        totals: Totals,
    ) -> None:
        self.name = name
        self.state = State.CONNECTING
        self.reason = "not connected yet"
        self.address = Address()
        self.tried = trio.Event()
        self._had_one = False
        self._connect = connect
        self._backoff = backoff
        self._totals = totals
        self._conversation: trio.CancelScope | None = None
        self._life = trio.CancelScope()
        self._hurry = trio.Event()

    def drop(self, reason: str) -> None:
        """Give up the connection, if there is one, and make a new one."""
        if self._conversation is not None:
            self.reason = reason
            self._conversation.cancel()

    def hurry(self) -> None:
        """Do not wait for the next attempt: there is news."""
        self._hurry.set()

    def stop(self) -> None:
        """End `run`."""
        self._life.cancel()

    async def run(self, party: Party) -> None:
        """Keep a connection until `stop` or cancellation."""
        try:
            with self._life:
                while True:
                    await self._live_once(party)
        finally:
            self.state, self.reason = State.DOWN, "closed"
            party.went_down(self.reason)

    async def _live_once(self, party: Party) -> None:
        try:
            connection = await self._connect()
        except StoreUnavailable as error:
            self._failed(str(error), party)
            await self._wait()
            return
        began = trio.current_time()
        self._totals.reconnects += self._had_one
        self._had_one = True
        log.info("redis.connected", link=self.name, address=str(connection.address))
        try:
            await self._converse(connection, party)
        finally:
            await trio.aclose_forcefully(connection.stream)
        self.state = State.CONNECTING
        log.warning("redis.lost", link=self.name, reason=self.reason)
        party.went_down(self.reason)
        if trio.current_time() - began >= HELD:
            self._backoff.reset()
        await self._wait()

    async def _wait(self) -> None:
        with trio.move_on_after(self._backoff.next()):
            await self._hurry.wait()
        self._hurry = trio.Event()

    def _failed(self, reason: str, party: Party) -> None:
        if self.state is not State.DOWN or reason != self.reason:
            log.warning("redis.unreachable", link=self.name, reason=reason)
        self.state, self.reason = State.DOWN, reason
        self.tried.set()
        party.went_down(reason)

    async def _converse(self, connection: Connection, party: Party) -> None:
        self.state, self.reason = State.UP, "closed by the server"
        self.address = connection.address
        jobs = party.came_up(connection)
        self.tried.set()
        try:
            async with trio.open_nursery() as nursery:
                self._conversation = nursery.cancel_scope
                for job in jobs:
                    nursery.start_soon(partial(self._until_broken, job, connection.stream))
        finally:
            self._conversation = None

    async def _until_broken(self, job: Job, stream: trio.abc.Stream) -> None:
        try:
            await job(stream)
        except BROKEN as error:
            self.reason = said(error)
        if self._conversation is not None:
            self._conversation.cancel()
