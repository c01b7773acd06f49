"""The queue: so many at a time, those that return first, nobody without a bound."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from wsmesh.gateway.turnstile import QueueFull, Turnstile


@asynccontextmanager
async def passing(turnstile: Turnstile, *, is_returning: bool) -> AsyncGenerator[None]:
    await turnstile.enter(is_returning=is_returning)
    try:
        yield
    finally:
        turnstile.leave()


async def test_those_that_return_go_ahead_of_those_that_are_new() -> None:
    turnstile = Turnstile(1, 10)
    order: list[str] = []

    async def pass_by(name: str, *, is_returning: bool) -> None:
        async with passing(turnstile, is_returning=is_returning):
            order.append(name)
            await wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        async with passing(turnstile, is_returning=False):
            for name in ("new 1", "new 2", "back 1", "back 2"):
                nursery.start_soon(lambda name=name: pass_by(name, is_returning="back" in name))
                await wait_all_tasks_blocked()
            assert turnstile.waiting == 4 and order == []
    assert order == ["back 1", "back 2", "new 1", "new 2"]
    assert turnstile.waiting == 0


async def test_new_ones_may_fill_half_of_the_room_and_the_rest_is_for_those_that_return() -> None:
    turnstile = Turnstile(1, 4)

    async def pass_by(is_returning: bool) -> None:
        async with passing(turnstile, is_returning=is_returning):
            pass

    async with trio.open_nursery() as nursery:
        async with passing(turnstile, is_returning=False):
            for is_returning in (False, False, True, True):
                nursery.start_soon(pass_by, is_returning)
                await wait_all_tasks_blocked()
            for is_returning in (False, True):
                with pytest.raises(QueueFull):
                    await pass_by(is_returning)


@pytest.mark.parametrize("is_served", [False, True])
async def test_whoever_gives_up_waiting_takes_no_place(is_served: bool) -> None:
    """Also when its turn comes in the same moment."""
    turnstile = Turnstile(1, 10)
    scope = trio.CancelScope()

    async def wait() -> None:
        with scope:
            async with passing(turnstile, is_returning=True):
                raise AssertionError("it had given up")

    async with trio.open_nursery() as nursery:
        async with passing(turnstile, is_returning=False):
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            scope.cancel()
            if not is_served:
                await wait_all_tasks_blocked()
    with trio.fail_after(1):
        async with passing(turnstile, is_returning=False):
            assert turnstile.waiting == 0
