"""A node hears the channels somebody there is subscribed to, and stops a while after the last."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from wsmesh.errors import StoreUnavailable
from wsmesh.session.interest import LINGER, Interest
from wsmesh.store.memory import MemoryStore


class Told(MemoryStore):
    """A store that notes what it was asked for; unsubscribing fails `failures` times."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.failures = 0

    async def subscribe(self, channel: str) -> None:
        await trio.sleep(LINGER / 10)
        self.told.append(f"+{channel}")

    async def unsubscribe(self, channel: str) -> None:
        await trio.lowlevel.checkpoint()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("gone")
        self.told.append(f"-{channel}")


class Local:
    """Who is subscribed here."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self._vacated: set[str] = set()

    def leave(self, channel: str) -> None:
        self.used.remove(channel)
        self._vacated.add(channel)

    def take_vacated(self) -> set[str]:
        vacated, self._vacated = self._vacated, set()
        return vacated


@asynccontextmanager
async def running() -> AsyncGenerator[tuple[Interest, Told, Local]]:
    store, local = Told(), Local()
    interest = Interest(store, local.used.__contains__, local.take_vacated)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(interest.run)
        await trio.testing.wait_all_tasks_blocked()
        yield interest, store, local
        nursery.cancel_scope.cancel()


async def test_the_first_subscriber_makes_it_heard_and_the_last_one_given_up(
    autojump_clock: MockClock,
) -> None:
    async with running() as (interest, store, local):
        local.used.add("c")
        await interest.hold("c")
        await interest.hold("c")
        assert store.told == ["+c"]
        local.leave("c")
        await trio.sleep(LINGER)
        assert store.told == ["+c"]
        await trio.sleep(2 * LINGER)
        assert store.told == ["+c", "-c"]


async def test_who_comes_straight_back_costs_nothing(autojump_clock: MockClock) -> None:
    async with running() as (interest, store, local):
        local.used.add("c")
        await interest.hold("c")
        for _ in range(5):
            local.leave("c")
            await trio.sleep(0.9 * LINGER)
            local.used.add("c")
            await interest.hold("c")
            await trio.sleep(1.3 * LINGER)
        assert store.told == ["+c"]


async def test_it_is_heard_again_after_it_was_given_up(autojump_clock: MockClock) -> None:
    async with running() as (interest, store, local):
        for _ in range(2):
            local.used.add("c")
            await interest.hold("c")
            local.leave("c")
            await trio.sleep(3 * LINGER)
        assert store.told == ["+c", "-c"] * 2


async def test_what_could_not_be_given_up_is_tried_again(autojump_clock: MockClock) -> None:
    async with running() as (interest, store, local):
        local.used.add("c")
        await interest.hold("c")
        local.leave("c")
        store.failures = 2
        await trio.sleep(6 * LINGER)
        assert store.failures == 0
        assert store.told == ["+c", "-c"]


async def test_what_was_never_heard_is_not_given_up(autojump_clock: MockClock) -> None:
    async with running() as (_, store, local):
        local.used.add("c")
        local.leave("c")
        await trio.sleep(4 * LINGER)
        assert store.told == []


async def test_a_subscription_that_ended_while_it_began_is_given_up_in_the_end(
    autojump_clock: MockClock,
) -> None:
    async with running() as (interest, store, local):
        # The second look finds the channel changing, and has to come back to it.
        await trio.sleep(0.5 * LINGER)
        local.used.add("c")
        local.leave("c")
        await trio.sleep(1.45 * LINGER)
        await interest.hold("c")
        assert store.told == ["+c"]
        await trio.sleep(3 * LINGER)
        assert store.told == ["+c", "-c"]
