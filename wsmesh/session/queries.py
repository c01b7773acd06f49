"""What clients may ask about a channel: history, presence, presence counts."""

from __future__ import annotations

from functools import partial

from wsmesh.channels.namespaces import ChannelKind
from wsmesh.channels.permissions import may_read_history, may_read_presence
from wsmesh.protocol import codes
from wsmesh.protocol.messages import (
    Command,
    HistoryRequest,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    Reply,
)
from wsmesh.session.session import Job, Session
from wsmesh.store.interface import Position, UnrecoverablePosition


def history(session: Session, number: int, command: Command) -> Job:
    """Execute a history command."""
    request = command.history
    assert request is not None
    if not request.channel:
        raise codes.BAD_REQUEST
    kind = session.services.namespaces.resolve(request.channel)
    refusal = may_read_history(kind, session.user, request.channel in session.subscriptions)
    if refusal is not None:
        raise refusal
    return partial(_history, session, number, kind, request)


async def _history(
    session: Session, number: int, kind: ChannelKind, request: HistoryRequest
) -> None:
    most = session.services.client.history_max_publication_limit
    since = request.since
    try:
        stream = await session.services.store.history(
            kind.channel,
            kind.retention,
            limit=most if request.limit < 0 else min(request.limit, most),
            since=None if since is None else Position(since.epoch, since.offset),
            reverse=request.reverse,
        )
    except UnrecoverablePosition as error:
        raise codes.unrecoverable_position() from error
    result = HistoryResult(list(stream.publications), stream.top.epoch, stream.top.offset)
    session.reply(Reply(id=number, history=result))


def presence(session: Session, number: int, command: Command) -> Job:
    """Execute a presence command."""
    assert command.presence is not None
    return partial(_presence, session, number, _present(session, command.presence.channel))


async def _presence(session: Session, number: int, channel: str) -> None:
    clients = await session.services.store.presence(channel)
    session.reply(Reply(id=number, presence=PresenceResult(dict(clients))))


def presence_stats(session: Session, number: int, command: Command) -> Job:
    """Execute a presence_stats command."""
    assert command.presence_stats is not None
    channel = _present(session, command.presence_stats.channel)
    return partial(_presence_stats, session, number, channel)


async def _presence_stats(session: Session, number: int, channel: str) -> None:
    clients = await session.services.store.presence(channel)
    users = {info.user for info in clients.values()}
    result = PresenceStatsResult(len(clients), len(users))
    session.reply(Reply(id=number, presence_stats=result))


def _present(session: Session, channel: str) -> str:
    if not channel:
        raise codes.BAD_REQUEST
    kind = session.services.namespaces.resolve(channel)
    refusal = may_read_presence(kind, session.user, channel in session.subscriptions)
    if refusal is not None:
        raise refusal
    return channel
