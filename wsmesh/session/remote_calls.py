"""Calls into application code: RPC and asynchronous messages."""

from __future__ import annotations

from functools import partial

from msgspec import UNSET, Raw

from wsmesh.app import Client, MessageContext, MessageHook, RPCContext, RPCHook
from wsmesh.errors import HookFailure
from wsmesh.protocol import codes
from wsmesh.protocol.messages import Command, Reply, RPCResult
from wsmesh.security.payload import check_payload
from wsmesh.session.publishing import checked_json
from wsmesh.session.services import Services
from wsmesh.session.session import Job, Session


def call(session: Session, number: int, command: Command) -> Job:
    """Execute an rpc command."""
    request = command.rpc
    assert request is not None
    methods = session.services.hooks.app.rpc
    hook = methods.get(request.method) or methods.get("")
    if hook is None:
        raise codes.method_not_found()
    data = None if request.data is UNSET else _checked(session, bytes(request.data))
    return partial(_call, session, number, hook, request.method, data)


async def _call(
    session: Session, number: int, hook: RPCHook, method: str, data: bytes | None
) -> None:
    context = RPCContext(
        client=session.described(), method=method, data=data,
    )
    answer = await session.services.hooks.call("rpc", hook, context)
    result = RPCResult() if answer is None else RPCResult(Raw(checked_json(answer)))
    session.reply(Reply(id=number, rpc=result))


async def call_from_backend(services: Services, method: str, data: bytes | None) -> bytes | None:
    """Answer an RPC of the server API; its hook sees a client without id and user.

    :raises ReplyError: 104 nobody answers the method, 100 the hook failed.
    """
    methods = services.hooks.app.rpc
    hook = methods.get(method) or methods.get("")
    if hook is None:
        raise codes.method_not_found()
    context = RPCContext(client=Client(id="", user="", address=""), method=method, data=data)
    try:
        answer = await services.hooks.call("rpc", hook, context)
    except HookFailure as error:
        raise codes.internal() from error
    return None if answer is None else checked_json(answer)


def message(session: Session, number: int, command: Command) -> Job:
    """Execute a send command; there is no reply, so a node without a hook has to disconnect."""
    request = command.send
    assert request is not None
    hook = session.services.hooks.app.message
    if hook is None:
        raise codes.NOT_AVAILABLE
    if request.data is UNSET:
        raise codes.BAD_REQUEST
    return partial(_message, session, hook, _checked(session, bytes(request.data)))


async def _message(session: Session, hook: MessageHook, data: bytes) -> None:
    context = MessageContext(
        client=session.described(), data=data,
    )
    await session.services.hooks.call("message", hook, context)


def _checked(session: Session, data: bytes) -> bytes:
    limits = session.services.limits
    reason = check_payload(data, limits.json_depth, limits.json_keys)
    if reason is not None:
        session.services.metrics.limit_hit("invalid_frame")
        raise codes.bad_request(reason)
    return data
