"""The master that the sentinels name: asked for at every connection, followed when it changes."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import hiredis
import structlog
import trio

from wsmesh.config.redis_url import Address
from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.backoff import Backoff
from wsmesh.store.redis.connection import (
    BROKEN,
    READ,
    Connection,
    connect_to,
    connect_to_sentinel,
    exchange,
    said,
)
from wsmesh.store.redis.master import Master, Patron
from wsmesh.store.redis.pipeline import PING
from wsmesh.store.redis.replies import NOTHING, open_reader, pack
from wsmesh.store.redis.settings import Settings
from wsmesh.store.redis.topology import Standalone

log = structlog.get_logger("wsmesh.redis")

LOOK_EVERY = 5.0
"""Seconds between questions to the sentinels while all is well; events may be lost."""

ANNOUNCED_FOR = 10.0
"""Seconds for which only an announced master will do: not every sentinel knows it yet, and the old
one still says that it is a master."""


class Sentinels(Standalone):
    """A master watched by sentinels.

    :param rng: draws waits and the order of the sentinels.
    """

    def __init__(self, settings: Settings, rng: random.Random, patron: Patron) -> None:
        self._settings = settings
        self._rng = rng
        self._sentinels = list(settings.target.addresses)
        self._announced: Address | None = None
        self._announced_until = 0.0
        super().__init__(
            Master(
                settings.target.service, self._connect, bounds=settings.bounds, rng=rng,
                patron=patron,
            )
        )

    async def run(self, changed: Callable[[], None]) -> None:
        """See `Topology`: listen to one sentinel after the other, as they come and go."""
        self.looked.set()
        backoff = Backoff(self._rng)
        while True:
            for sentinel in self._rng.sample(self._sentinels, len(self._sentinels)):
                try:
                    await self._listen_to(sentinel, backoff)
                except StoreUnavailable as error:
                    log.warning("redis.sentinel_lost", address=str(sentinel), reason=str(error))
                await trio.sleep(backoff.next())

    async def _connect(self) -> Connection:
        """Connect to the master; the sentinels may be wrong, so its role is asked too."""
        failure = StoreUnavailable(f"no sentinel names a master {self._settings.target.service!r}")
        for address in await self._named():
            try:
                connection = await connect_to(self._settings, address)
            except StoreUnavailable as error:
                failure = error
            else:
                self._master.name = str(address)
                return connection
        raise failure

    async def _named(self) -> list[Address]:
        """Return the masters that the sentinels name, the one most of them name first."""
        if self._announced is not None and trio.current_time() < self._announced_until:
            return [self._announced]
        votes: Counter[Address] = Counter()
        enough = len(self._sentinels) // 2 + 1
        with trio.move_on_after(self._settings.bounds.connect_timeout):
            async with trio.open_nursery() as nursery:

                async def ask(sentinel: Address) -> None:
                    try:
                        votes[await self._ask(sentinel)] += 1
                    except StoreUnavailable:
                        return
                    if max(votes.values()) >= enough:
                        nursery.cancel_scope.cancel()

                for sentinel in self._sentinels:
                    nursery.start_soon(ask, sentinel)
        return [address for address, _ in votes.most_common()]

    async def _ask(self, sentinel: Address) -> Address:
        connection = await connect_to_sentinel(self._settings, sentinel)
        service = self._settings.target.service
        try:
            with trio.fail_after(self._settings.bounds.timeout):
                (named,) = await exchange(
                    connection.stream, [("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)]
                )
        except (*BROKEN, trio.TooSlowError) as error:
            raise StoreUnavailable(f"{sentinel}: {said(error)}") from error
        finally:
            await trio.aclose_forcefully(connection.stream)
        if not isinstance(named, list) or len(named) != 2:
            raise StoreUnavailable(f"{sentinel} does not know {service!r}: {named}")
        return Address(named[0].decode(), int(named[1]))

    async def _listen_to(self, sentinel: Address, backoff: Backoff) -> None:
        """Follow what a sentinel announces until it is lost."""
        connection = await connect_to_sentinel(self._settings, sentinel)
        stream, reader = connection.stream, open_reader()
        try:
            await stream.send_all(pack(("SUBSCRIBE", "+switch-master")))
            backoff.reset()
            while True:
                # Something may have happened before we listened, or while events were lost.
                await self._look()
                is_alive = False
                with trio.move_on_after(LOOK_EVERY) as turn:
                    while data := await stream.receive_some(READ):
                        is_alive = True
                        reader.feed(bytes(data))
                        while (reply := reader.gets()) is not NOTHING:
                            self._take(reply)
                if not turn.cancelled_caught or not is_alive:
                    raise StoreUnavailable("closed" if not turn.cancelled_caught else "silent")
                await stream.send_all(PING)
        except BROKEN as error:
            raise StoreUnavailable(said(error)) from error
        finally:
            await trio.aclose_forcefully(stream)

    async def _look(self) -> None:
        """Leave a master that is not the one the sentinels name, if that one is ready."""
        for address in (await self._named())[:1]:
            if self._master.is_elsewhere(address):
                with suppress(StoreUnavailable):
                    connection = await connect_to(self._settings, address)
                    await trio.aclose_forcefully(connection.stream)
                    self._master.move(address)

    def _take(self, reply: object) -> None:
        if type(reply) is not hiredis.PushNotification or reply[0] != b"message":
            return
        # <service> <old host> <old port> <new host> <new port>
        service, *_, host, port = reply[2].decode().split(" ")
        if service == self._settings.target.service:
            self._announced = Address(host, int(port))
            self._announced_until = trio.current_time() + ANNOUNCED_FOR
            log.info("redis.master_switched", address=str(self._announced))
            self._master.move(self._announced)
