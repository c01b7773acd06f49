"""From a request of the server API to the JSON that answers it: single calls and batches."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
import trio

from wsmesh.api.methods import BATCH_LIMIT, METHODS, described
from wsmesh.api.operations import Operations
from wsmesh.api.requests import BatchRequest, NamedRequest, decode
from wsmesh.errors import Disconnect, HookFailure, ReplyError, StoreUnavailable
from wsmesh.protocol import codes
from wsmesh.security.revocation import RevocationsFull

log = structlog.get_logger("wsmesh.api")


async def call(operations: Operations, method: str, body: bytes) -> tuple[bytes, ReplyError | None]:
    """Execute a request; return the response body and the error that it holds, if any."""
    if method == "batch":
        return await _batch(operations, body)
    result, error = await _execute(operations, method, body)
    if error is not None:
        return _refused(error)
    return msgspec.json.encode({"result": result}), None


async def call_named(operations: Operations, body: bytes) -> tuple[bytes, ReplyError | None]:
    """Execute a request whose body names the method; return what `call` returns."""
    try:
        request: NamedRequest = decode(body, NamedRequest)
        if not request.method:
            raise codes.bad_request("method is required")
    except ReplyError as error:
        return _refused(error)
    return await call(operations, request.method, bytes(request.params))


async def _execute(
    operations: Operations, method: str, body: bytes
) -> tuple[Any, ReplyError | None]:
    function = METHODS.get(method)
    try:
        if function is None:
            raise codes.method_not_found()
        return await function(operations, body), None
    except ReplyError as error:
        return None, error
    except StoreUnavailable as error:
        log.warning("api.store_unavailable", method=method, error=str(error))
        return None, codes.internal()
    except RevocationsFull as error:
        log.error("api.revocations_full", method=method, error=str(error))
        return None, codes.limit_exceeded()
    except (HookFailure, Disconnect) as error:
        # A hook may disconnect its client, but a backend is none.
        log.warning("api.hook_failed", method=method, error=str(error))
        return None, codes.internal()


def _refused(error: ReplyError) -> tuple[bytes, ReplyError]:
    return msgspec.json.encode({"error": described(error)}), error


async def _batch(operations: Operations, body: bytes) -> tuple[bytes, ReplyError | None]:
    try:
        request: BatchRequest = decode(body, BatchRequest)
        if len(request.commands) > BATCH_LIMIT:
            raise codes.bad_request(f"a batch holds at most {BATCH_LIMIT} commands")
        if any(len(command) != 1 for command in request.commands):
            raise codes.bad_request("each command of a batch has one method")
    except ReplyError as error:
        return _refused(error)
    replies: list[Any] = [None] * len(request.commands)

    async def run(index: int, method: str, params: bytes) -> None:
        result, error = await _execute(operations, method, params)
        replies[index] = {method: result} if error is None else {"error": described(error)}

    commands = [next(iter(command.items())) for command in request.commands]
    if request.parallel:
        async with trio.open_nursery() as nursery:
            for index, (method, params) in enumerate(commands):
                nursery.start_soon(run, index, method, bytes(params))
    else:
        for index, (method, params) in enumerate(commands):
            await run(index, method, bytes(params))
    return msgspec.json.encode({"replies": replies}), None
