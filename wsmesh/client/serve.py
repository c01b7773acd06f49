"""Runs one connection: opens it, greets, then reads until it ends and carries out the effects."""

from __future__ import annotations

import math

import trio
from trio_websocket import WebSocketConnection

from wsmesh.client import advice
from wsmesh.client.codec import decode_frame
from wsmesh.client.conversation import (
    Answer,
    Conversation,
    Deliver,
    DeliverMessage,
    Effect,
    Hangup,
    Lease,
    Leave,
    Move,
    Pong,
    Resubscribe,
    Welcome,
    Window,
)
from wsmesh.client.core import Core
from wsmesh.client.dial import open_websocket
from wsmesh.client.handshake import AttemptFailed
from wsmesh.client.link import Link
from wsmesh.client.subscriber import subscribe_wanted
from wsmesh.client.token import connection_token, refresh_connection
from wsmesh.errors import ProtocolViolation
from wsmesh.protocol.messages import Command, ConnectRequest
from wsmesh.protocol.resume import RESUMING, TICKET


async def run_link(
    core: Core, url: str, ticket: str = "", *,
    task_status: trio.TaskStatus[Link] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a connection to `url` from its first byte to its last.

    Reports the link once `connect` was answered, or the attempt failed (then `link.ending` is set).

    :param ticket: to be shown to the gateway.
    """
    link = Link(url=url, conversation=Conversation(core.registry))
    try:
        with link.scope:
            await _converse(core, link, ticket, task_status)
    except* AttemptFailed as failures:
        link.end(_first(failures).ending)
    finally:
        core.abandon(link)
        link.finished()
    if link.result is None:
        task_status.started(link)


def _first(failures: BaseExceptionGroup[AttemptFailed]) -> AttemptFailed:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    assert isinstance(failure, AttemptFailed)
    return failure


async def _converse(
    core: Core, link: Link, ticket: str, task_status: trio.TaskStatus[Link]
) -> None:
    options = core.options
    token = await connection_token(core)
    resume = core.resumption()
    hello = ConnectRequest(
        token=token, data=options.data, name=options.name, version=options.version, resume=resume,
    )
    # Those that come back are let in ahead of those that are new.
    returning = {RESUMING: "1"} if resume is not None and resume.session else {}
    if ticket:
        returning |= {RESUMING: "1", TICKET: ticket}
    async with (
        open_websocket(
            link.url,
            options.dial,
            {**options.headers, **returning},
            within=options.deadlines.connect,
            max_message_size=options.max_message_size,
        ) as ws,
        trio.open_nursery() as connection,
    ):
        connection.start_soon(link.write, ws, options.deadlines.write)
        connection.start_soon(link.close_when_asked, ws, options.deadlines.close)
        link.post_numbered(link.conversation.greeting(hello))
        with trio.move_on_after(options.deadlines.connect) as patience:
            while link.result is None and link.ending is None:
                await _read_frame(core, link, ws, math.inf)
        if patience.cancelled_caught:
            link.end(advice.lost("the server did not answer connect in time"))
        if link.result is not None and link.ending is None:
            core.adopt(link)
            task_status.started(link)
            connection.start_soon(subscribe_wanted, core, link)
            connection.start_soon(refresh_connection, core, link)
            ping = link.result.ping
            silence = ping + options.deadlines.ping if ping else math.inf
            while link.ending is None:
                await _read_frame(core, link, ws, silence)


async def _read_frame(core: Core, link: Link, ws: WebSocketConnection, silence: float) -> None:
    frame = await link.read(ws, silence)
    if frame is None:
        return
    try:
        replies = decode_frame(frame)
    except ProtocolViolation as fault:
        return link.end(advice.Ending(advice.BAD_PROTOCOL, fault.reason, terminal=True))
    for reply in replies:
        for effect in link.conversation.feed(reply):
            carry_out(core, link, effect)


def carry_out(core: Core, link: Link, effect: Effect) -> None:
    """Do what the conversation decided; nothing here waits."""
    match effect:
        case Deliver(track, events):
            core.deliver(track, events)
        case Answer(reply):
            link.answered(reply)
        case Pong():
            link.post_numbered(Command())
        case Welcome(result):
            link.result = result
            core.welcomed(result)
        case Lease(ttl):
            link.renew_in(ttl)
        case DeliverMessage(message):
            core.deliver_message(message)
        case Leave(track):
            core.leave(track)
        case Resubscribe(track):
            link.want(track)
        case Window(seconds):
            core.widen(seconds)
        case Move(ending, after, url, ticket):
            if link is core.link:
                core.advise_move(ending, after=after, url=url, ticket=ticket)
        case Hangup(ending):
            link.end(ending)
