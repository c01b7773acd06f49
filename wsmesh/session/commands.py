"""From a client's frames to its commands' execution."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from wsmesh.errors import Disconnect, ReplyError, StoreUnavailable
from wsmesh.metrics import UNKNOWN
from wsmesh.protocol import codes
from wsmesh.protocol.codec import PING, MalformedCommand, decode_command, decode_connect
from wsmesh.protocol.messages import Command, Empty, Reply
from wsmesh.session.connecting import connect
from wsmesh.session.publishing import publish
from wsmesh.session.queries import history, presence, presence_stats
from wsmesh.session.remote_calls import call, message
from wsmesh.session.renewal import refresh, refresh_subscription
from wsmesh.session.session import Job, Session
from wsmesh.session.subscribing import subscribe, unsubscribe

Execute = Callable[[Session, int, Command], "Job | None"]
"""Executes a command: at once, or by returning the job that does."""


def receive(session: Session, payload: bytes) -> None:
    """Execute the commands of one message of a bidirectional client.

    :raises Disconnect: the message is not of the protocol; the connection ends.
    """
    if b"\n" in payload:
        for line in payload.split(b"\n"):
            if line and not session.is_over:
                receive_one(session, line)
    else:
        receive_one(session, payload)


def receive_one(session: Session, line: bytes) -> None:
    """Execute one command, or queue it behind those that wait.

    :raises Disconnect: see `receive`.
    """
    if line == PING:
        session.pong()
        return
    try:
        command = decode_command(line)
    except MalformedCommand as error:
        raise Disconnect(codes.BAD_REQUEST.code, f"bad request: {error}"[:120]) from error
    method = "publish" if command.publish is not None else _method_of(command)
    session.active = session.services.hub.fanout.turn_began
    session.services.metrics.commands[method] += 1
    if session.link.waiting:
        _run(session, command.id, partial(_take_turn, session, command, method))
        return
    job = execute(session, command, method)
    if job is not None:
        _run(session, command.id, job)


def _run(session: Session, number: int, job: Job) -> None:
    session.run(number, partial(_measured, session, session.services.now(), job))


async def _measured(session: Session, received: float, job: Job) -> None:
    services = session.services
    services.metrics.command_wait_seconds.observe(services.now() - received)
    try:
        await job()
    finally:
        # A client that left while it waited was answered nothing.
        if not session.is_over:
            services.metrics.command_seconds.observe(services.now() - received)


async def _take_turn(session: Session, command: Command, method: str) -> None:
    job = execute(session, command, method)
    if job is not None:
        await job()


def execute(session: Session, command: Command, method: str) -> Job | None:
    """Execute a command now, or return the job that does.

    :raises Disconnect: the command breaks the protocol or a limit.
    """
    function = _EXECUTE.get(method)
    if function is None:
        if command.id:
            session.refuse(command.id, codes.method_not_found())
        else:
            session.pong()
        return None
    if not session.is_connected and function is not _connect:
        raise codes.BAD_REQUEST
    if not command.id and function is not message:
        raise codes.BAD_REQUEST
    if session.unsettled and function is not publish:
        return partial(_after_publications, session, command, method)
    try:
        return function(session, command.id, command)
    except ReplyError as error:
        session.refuse(command.id, error)
    except StoreUnavailable:
        session.refuse(command.id, codes.internal())
    return None


async def _after_publications(session: Session, command: Command, method: str) -> None:
    """Execute a command once the client's earlier publications are stored, or refused."""
    while session.unsettled:
        session.settled = trio.Event()
        await session.settled.wait()
    session.settled = None
    if not session.is_over:
        await _take_turn(session, command, method)


def _method_of(command: Command) -> str:
    for name in _EXECUTE:
        if getattr(command, name) is not None:
            return name
    return UNKNOWN


def receive_connect(session: Session, payload: bytes) -> None:
    """Take the one message of a unidirectional client: its connect request.

    :raises Disconnect: it is malformed, or not the first one.
    """
    if session.is_connected or session.link.waiting:
        return
    try:
        request = decode_connect(payload)
    except MalformedCommand as error:
        raise Disconnect(codes.BAD_REQUEST.code, f"bad request: {error}"[:120]) from error
    job = connect(session, 1, request)
    if job is not None:
        session.run(1, job)


def _connect(session: Session, number: int, command: Command) -> Job | None:
    assert command.connect is not None
    return connect(session, number, command.connect)


def _ping(session: Session, number: int, command: Command) -> None:
    session.reply(Reply(id=number, ping=Empty()))


_EXECUTE: dict[str, Execute] = {
    "connect": _connect,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "publish": publish,
    "presence": presence,
    "presence_stats": presence_stats,
    "history": history,
    "ping": _ping,
    "send": message,
    "rpc": call,
    "refresh": refresh,
    "sub_refresh": refresh_subscription,
}
