"""Keeps a client connected: attempts, pauses, moves, and the end of it all."""

from __future__ import annotations

import trio

from wsmesh.client import advice
from wsmesh.client.advice import Ending
from wsmesh.client.core import Core, MoveOrder
from wsmesh.client.events import Connected, Connecting
from wsmesh.client.link import Link
from wsmesh.client.serve import run_link


async def keep_connected(core: Core) -> Ending:
    """Keep a connection until coming back would not help; return why."""
    async with trio.open_nursery() as links:
        current: Link | Ending = await _establish(core, links, None)
        while isinstance(current, Link):
            if current.ending is not None:
                current = await _come_back(core, links, current.ending)
            elif core.order is not None:
                current = await _move(core, links, current)
            else:
                await core.bell.wait()
        links.cancel_scope.cancel()
    return current


async def _come_back(core: Core, links: trio.Nursery, ending: Ending) -> Link | Ending:
    if ending.terminal or core.is_closing:
        return ending
    _note(core, ending)
    delay = _first_delay(core, ending)
    _tell_lost(core, ending, delay)
    await _pause(core, delay)
    return await _establish(core, links, None)


def _first_delay(core: Core, ending: Ending) -> float:
    """Return the seconds before the first attempt: what the server says, if it says anything."""
    options, order = core.options, core.order
    if order is not None and order.is_advised:
        return max(0.0, order.at - trio.current_time())
    if core.window and not ending.retry_after:
        return options.uniform(0.0, core.window)
    return _delay(core, 0, ending)


def _delay(core: Core, attempt: int, ending: Ending) -> float:
    if ending.is_slot:
        return ending.retry_after
    return core.options.backoff.delay(attempt, core.options.uniform, at_least=ending.retry_after)


async def _establish(core: Core, links: trio.Nursery, old: Link | None) -> Link | Ending:
    """Try until a connection works, or it makes no sense any more.

    :param old: the connection that is to be replaced and works meanwhile.
    """
    attempt = 0
    while True:
        link = await _attempt(core, links)
        ending = link.ending
        if ending is None:
            return link
        without_token = ending.code == advice.TOKEN_EXPIRED and core.options.get_token is None
        if ending.terminal or without_token or core.is_closing:
            return ending
        if old is not None and old.ending is not None and old.ending.terminal:
            return old.ending
        _note(core, ending)
        # With a stale token nothing is wrong with the server.
        is_sound = attempt == 0 and ending.stale_token
        delay = 0.0 if is_sound else _delay(core, attempt, ending)
        if core.link is None:
            _tell_lost(core, ending, delay)
        await _pause(core, delay)
        attempt += 1


async def _attempt(core: Core, links: trio.Nursery) -> Link:
    """Try once; that decides a move that was ordered, an advised one is pursued by `_establish`."""
    order = core.order
    url = await _target(core) if order is None or order.url is None else order.url
    old, moved = core.link, core.link is not None
    link: Link = await links.start(run_link, core, url, "" if order is None else order.ticket)
    if order is not None:
        order.failure = link.ending
        order.done.set()
        core.order = None
    if link.ending is None and link.result is not None:
        if order is None or not order.is_advised:
            # A single node that the server named is no place to come back to.
            core.url = url
        core.last_failure = ""
        if core.options.placement is not None:
            core.options.placement.arrived()
        if old is not None and old.ending is not None and not core.is_known_lost:
            # It ended while the attempt was under way that was to replace it.
            moved = False
            _tell_lost(core, old.ending, 0.0)
        core.is_known_lost = False
        core.options.observe(Connected(client=link.result.client, url=url, moved=moved))
    return link


def _tell_lost(core: Core, ending: Ending, delay: float) -> None:
    core.is_known_lost = True
    core.options.observe(Connecting(code=ending.code, reason=ending.reason, delay=delay))


async def _target(core: Core) -> str:
    placement, deadlines = core.options.placement, core.options.deadlines
    return core.url if placement is None else await placement.next(deadlines.connect)


def _note(core: Core, ending: Ending) -> None:
    """Remember what an ending teaches for the next attempt."""
    core.last_failure = ending.reason
    if not ending.stale_token:
        return
    core.token = "" if core.options.get_token is not None else core.token


async def _pause(core: Core, delay: float) -> None:
    """Wait, unless the user wants the client elsewhere at once."""
    with trio.move_on_after(delay):
        while core.order is None or core.order.is_advised:
            await core.bell.wait()


async def _move(core: Core, links: trio.Nursery, old: Link) -> Link | Ending:
    """Make before break: connect, subscribe with recovery there, then let the old one go."""
    assert core.order is not None
    if core.order.is_advised and not await _is_due(core, core.order, old):
        return old
    new = await (_establish(core, links, old) if core.order.is_advised else _attempt(core, links))
    if isinstance(new, Ending):
        return new
    if new.ending is not None:
        return old
    links.start_soon(_retire, core, old, new)
    return new


async def _is_due(core: Core, order: MoveOrder, old: Link) -> bool:
    """Wait until an advised move is due; False: something else came first."""
    with trio.move_on_at(order.at):
        while core.order is order and old.ending is None:
            await core.bell.wait()
        return False
    return True


async def _retire(core: Core, old: Link, new: Link) -> None:
    """Let go of a connection once the new one serves its subscriptions and its answers are in."""
    with trio.move_on_after(core.options.deadlines.request):
        await new.wait_settled()
        await old.wait_idle()
    old.farewell.set()
