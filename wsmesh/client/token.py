"""Keeps tokens fresh: fetches them through the user's callbacks and renews them in band."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from wsmesh.client import advice
from wsmesh.client.advice import Ending
from wsmesh.client.core import Core
from wsmesh.client.errors import OutcomeUnknown, Unauthorized
from wsmesh.client.events import TokenUnavailable
from wsmesh.client.handshake import AttemptFailed
from wsmesh.client.link import Link, NotSent
from wsmesh.errors import WsmeshError
from wsmesh.protocol.messages import Command, RefreshRequest


class NoToken(WsmeshError):
    """The callback failed this time; ask again later."""


async def fetch(core: Core, channel: str, get_token: Callable[[], Awaitable[str]]) -> str:
    """Ask the user for a token.

    :raises Unauthorized: the user says there will be none.
    :raises NoToken: the callback raised or took too long, which `observe` was told.
    """
    fault: BaseException | None = None
    with trio.move_on_after(core.options.deadlines.token):
        try:
            return await get_token()
        except Unauthorized:
            raise
        except Exception as raised:  # noqa: BLE001 - the user's code may raise anything; retried
            fault = raised
    core.options.observe(TokenUnavailable(channel=channel, fault=fault))
    raise NoToken(f"no token: {fault!r}" if fault else "the token callback took too long")


async def connection_token(core: Core) -> str:
    """Return the token for the next attempt, fetching one if it must.

    :raises AttemptFailed: there is none, for good or for now.
    """
    get_token = core.options.get_token
    if core.token or get_token is None:
        return core.token
    try:
        core.token = await fetch(core, "", get_token)
    except Unauthorized:
        raise AttemptFailed(_unauthorized()) from None
    except NoToken as fault:
        raise AttemptFailed(advice.lost(str(fault), advice.NO_TOKEN)) from fault
    return core.token


def _unauthorized() -> Ending:
    return Ending(advice.UNAUTHORIZED, "unauthorized", terminal=True)


async def refresh_connection(core: Core, link: Link) -> None:
    """Bring a fresh connection token whenever the old one is about to end."""
    get_token = core.options.get_token
    if get_token is None:
        return
    attempt = 0
    while True:
        with trio.move_on_at(link.token_due):
            await link.token_changed.wait()
            continue
        try:
            core.token = await fetch(core, "", get_token)
            if not core.token:
                return link.end(_unauthorized())
            reply = await link.ask(Command(refresh=RefreshRequest(token=core.token)))
        except Unauthorized:
            return link.end(_unauthorized())
        except NoToken:
            attempt = _again_later(core, link, attempt)
            continue
        except (NotSent, OutcomeUnknown):
            return
        if reply.error is None:
            attempt = 0
            result = reply.refresh
            link.renew_in(float(max(1, result.ttl)) if result and result.expires else None)
        elif advice.is_worth_retrying(reply.error) or reply.error.code == advice.TOKEN_EXPIRED:
            attempt = _again_later(core, link, attempt)
        else:
            return link.end(Ending(reply.error.code, reply.error.message, terminal=True))


def _again_later(core: Core, link: Link, attempt: int) -> int:
    link.renew_in(core.options.backoff.delay(attempt, core.options.uniform))
    return attempt + 1
