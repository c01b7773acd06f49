"""Keeps the wanted tracks subscribed on one connection: tokens, retries, in-band renewal."""

from __future__ import annotations

from functools import partial

import trio

from wsmesh.client import advice
from wsmesh.client.core import Core
from wsmesh.client.errors import OutcomeUnknown, Unauthorized
from wsmesh.client.link import Link, NotSent
from wsmesh.client.reader import Reader
from wsmesh.client.token import NoToken, fetch
from wsmesh.client.track import Track
from wsmesh.protocol.messages import Command, ErrorObject, Reply, SubRefreshRequest


async def subscribe_wanted(core: Core, link: Link) -> None:
    """Subscribe every track that is wanted here, now and later, until the connection ends.

    Those that need no token go out together in one frame.
    """
    async with trio.open_nursery() as subscriptions:
        while True:
            for track in link.take_wanted():
                scope = trio.CancelScope()
                link.tending[track] = scope
                subscriptions.start_soon(_tend, core, link, track, scope)
            await link.wants_changed.wait()


async def _tend(core: Core, link: Link, track: Track, scope: trio.CancelScope) -> None:
    reader = core.readers.get(track)
    if reader is None:
        return
    with scope:
        try:
            if track.forced > 1:  # the server keeps asking to subscribe again: do not spin
                await _pause(core, track.forced - 2)
            await _subscribe(core, link, track, reader)
        except Unauthorized:
            _give_up(core, track, advice.UNAUTHORIZED, "unauthorized")
        except (NotSent, OutcomeUnknown):
            pass  # the connection ended; the next one subscribes
    if link.tending.get(track) is scope:
        del link.tending[track]


async def _subscribe(core: Core, link: Link, track: Track, reader: Reader) -> None:
    restored = link.conversation.take_restored(track)
    if restored is not None:
        link.settle(track)
        return await _renew(core, link, track, reader, restored.ttl if restored.expires else 0)
    attempt = 0
    while track.is_wanted:
        if await _has_token(core, track, reader):
            reply = await _ask_to_subscribe(core, link, track, reader)
            if reply is None:
                return
            if reply.error is None:
                link.settle(track)
                result = reply.subscribe
                ttl = result.ttl if result is not None and result.expires else 0
                return await _renew(core, link, track, reader, ttl)
            if not _worth_another_try(reply.error, reader):
                link.settle(track)
                return core.end_track(track, reply.error.code, reply.error.message)
            if reply.error.code == advice.TOKEN_EXPIRED and attempt == 0:
                attempt = 1
                continue
        await _pause(core, attempt)
        attempt += 1


async def _ask_to_subscribe(core: Core, link: Link, track: Track, reader: Reader) -> Reply | None:
    within = core.options.deadlines.request
    with trio.move_on_after(within):
        return await link.ask(Command(subscribe=track.request(reader.token)), track)
    # Whether the server subscribed us is unknown: a new connection settles it.
    link.end(advice.lost(f"subscribe not answered in {within:g} s", advice.SUBSCRIBE_TIMEOUT))
    return None


async def _has_token(core: Core, track: Track, reader: Reader) -> bool:
    """Fetch a token if one is needed; False when there is none for now."""
    if reader.token or reader.get_token is None:
        return True
    try:
        reader.token = await fetch(core, track.channel, partial(reader.get_token, track.channel))
    except NoToken:
        return False
    if not reader.token:
        raise Unauthorized
    return True


def _worth_another_try(error: ErrorObject, reader: Reader) -> bool:
    if error.code == advice.TOKEN_EXPIRED and reader.get_token is not None:
        reader.token = ""
        return True
    return advice.is_worth_retrying(error)


async def _renew(core: Core, link: Link, track: Track, reader: Reader, ttl: int) -> None:
    """Bring a fresh subscription token each time the old one ends, `ttl` seconds from now."""
    attempt = 0
    wait = float(ttl)
    while wait and reader.get_token is not None:
        await trio.sleep(wait)
        reader.token = ""
        if await _has_token(core, track, reader):
            request = SubRefreshRequest(channel=track.channel, token=reader.token)
            reply = await link.ask(Command(sub_refresh=request))
            if reply.error is None:
                attempt = 0
                result = reply.sub_refresh
                wait = float(max(1, result.ttl)) if result is not None and result.expires else 0.0
                continue
            if not _worth_another_try(reply.error, reader):
                return _give_up(core, track, reply.error.code, reply.error.message)
        wait = core.options.backoff.delay(attempt, core.options.uniform)
        attempt += 1


def _give_up(core: Core, track: Track, code: int, reason: str) -> None:
    core.end_track(track, code, reason)
    core.leave(track)


async def _pause(core: Core, attempt: int) -> None:
    await trio.sleep(core.options.backoff.delay(attempt, core.options.uniform))
