"""Which channels this node hears from the store: those somebody here is subscribed to."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import structlog
import trio

from wsmesh.errors import StoreUnavailable
from wsmesh.store.interface import Store

LINGER = 1.0
"""Seconds between sweeps: a channel is given up at the earliest one sweep after its last leaver,
so that a client that comes straight back costs no round trips."""


log = structlog.get_logger("wsmesh.interest")


class Interest:
    """Subscribes to the store for the first local subscriber, unsubscribes after the last.

    :param is_used: whether anybody here is subscribed to (or joining) a channel.
    :param take_vacated: returns the channels that were left by their last subscriber since the
        last call; looking at all that are held would stall a node with very many.
    """

    def __init__(
        self, store: Store, is_used: Callable[[str], bool], take_vacated: Callable[[], set[str]]
    ) -> None:
        self._store = store
        self._is_used = is_used
        self._take_vacated = take_vacated
        self._held: set[str] = set()
        self._changing: dict[str, trio.Event] = {}

    async def hold(self, channel: str) -> None:
        """Return once the node hears `channel`.

        :raises StoreUnavailable: the store cannot be reached.
        """
        while channel in self._changing:
            await self._changing[channel].wait()
        if channel in self._held:
            return
        async with self._change(channel):
            await self._store.subscribe(channel)
            self._held.add(channel)

    async def run(self) -> None:
        """Give up what nobody uses any more, until cancelled."""
        idle: set[str] = set()
        while True:
            await trio.sleep(LINGER)
            vacated = self._take_vacated()
            for channel in idle:
                if channel in self._changing:
                    vacated.add(channel)
                elif channel in self._held and not self._is_used(channel):
                    async with self._change(channel):
                        try:
                            await self._store.unsubscribe(channel)
                        except StoreUnavailable as error:
                            log.warning("interest.not_given_up", channel=channel, error=str(error))
                            vacated.add(channel)
                            continue
                        self._held.discard(channel)
            idle = vacated

    def shrink(self) -> None:
        """Let go of the room of channels that are gone: a set never does so by itself."""
        self._held = set(self._held)

    @asynccontextmanager
    async def _change(self, channel: str) -> AsyncGenerator[None]:
        done = self._changing[channel] = trio.Event()
        try:
            yield
        finally:
            del self._changing[channel]
            done.set()
