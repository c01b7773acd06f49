"""Plain WebSocket clients without an SDK (`/connection/raw?channel=NAME`): payloads in and out.

A message a client sends is published to its channels, as it is if it is JSON, else as a JSON
string; what it receives is publications' data alone. Permissions are those of any client.
"""

from __future__ import annotations

from functools import partial

from msgspec import Raw

from wsmesh.errors import Disconnect, HookFailure, ReplyError, StoreUnavailable
from wsmesh.protocol import codes
from wsmesh.protocol.codec import is_json, raw
from wsmesh.protocol.messages import Command, ConnectRequest, PublishRequest, SubscribeRequest
from wsmesh.security.payload import compact
from wsmesh.session.connecting import connect
from wsmesh.session.publishing import publish
from wsmesh.session.session import Session
from wsmesh.session.subscribing import open_by_client


async def join_bare(session: Session, token: str, channels: tuple[str, ...]) -> None:
    """Connect and subscribe; what a refusal would be for an SDK is a disconnect here."""
    if session.is_over:
        return
    try:
        if not channels:
            raise Disconnect(codes.BAD_REQUEST.code, "bad request: ?channel=NAME is required")
        job = connect(session, 0, ConnectRequest(token=token))
        if job is not None:
            await job()
        for channel in dict.fromkeys(channels):
            opening = await open_by_client(session, SubscribeRequest(channel=channel))
            try:
                opening.complete()
            finally:
                opening.abandon()
            await opening.announce()
    except Disconnect as why:
        session.end(why)
    except ReplyError as error:
        session.refuse(0, error)
    except (StoreUnavailable, HookFailure):
        session.end(codes.SERVER_ERROR)


def publish_bare(session: Session, payload: bytes) -> None:
    """Publish a message to the client's channels; before it is connected, after that."""
    if session.link.waiting:
        session.run(0, partial(_publish, session, payload))
        return
    for command in _commands(session, payload):
        try:
            job = publish(session, 0, command)
        except ReplyError as error:
            session.refuse(0, error)
            return
        if job is not None:
            session.run(0, job)


async def _publish(session: Session, payload: bytes) -> None:
    for command in _commands(session, payload):
        job = publish(session, 0, command)
        if job is not None:
            await job()


def _commands(session: Session, payload: bytes) -> list[Command]:
    data = Raw(compact(payload)) if is_json(payload) else raw(payload.decode())
    return [Command(publish=PublishRequest(channel, data)) for channel in session.subscriptions]
