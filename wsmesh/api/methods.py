"""Methods of the server API: a request's JSON in, its result out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Raw

from wsmesh.api.operations import Operations
from wsmesh.api.requests import (
    BroadcastRequest,
    ChannelRequest,
    ChannelsRequest,
    ConnectionsRequest,
    DisconnectRequest,
    DrainRequest,
    HistoryRequest,
    InfoRequest,
    InvalidateUserTokensRequest,
    MoveRequest,
    PublishRequest,
    RefreshRequest,
    RevokeTokenRequest,
    RPCRequest,
    SubscribeRequest,
    UnsubscribeRequest,
    channel_of,
    decode,
    embedded,
)
from wsmesh.errors import ReplyError, StoreUnavailable
from wsmesh.protocol import codes
from wsmesh.protocol.messages import HistoryResult, PresenceResult, PresenceStatsResult
from wsmesh.security.claims import NO_OVERRIDE

Method = Callable[[Operations, bytes], Awaitable[Any]]
"""Executes one request and returns its result, to be encoded."""

FOR_EVER = 4_102_444_800.0
"""Unix time of the year 2100, for revocations without an end."""

BATCH_LIMIT = 1000
"""Commands of one batch, and channels of one broadcast."""


def described(error: ReplyError) -> dict[str, Any]:
    """Return an error as answers show it."""
    return {"code": error.code, "message": error.message}


async def _publish(operations: Operations, body: bytes) -> Any:
    request: PublishRequest = decode(body, PublishRequest)
    return await _publish_one(
        operations, channel_of(request.channel), request.payload(), request.options()
    )


async def _publish_one(
    operations: Operations, channel: str, data: bytes, options: dict[str, Any]
) -> Any:
    published = await operations.publish(channel, data, **options)
    position = published.position
    if not position.offset:
        return {}
    return {
        "offset": position.offset, "epoch": position.epoch, "durability": published.durability,
    }  # fmt: skip


async def _broadcast(operations: Operations, body: bytes) -> Any:
    request: BroadcastRequest = decode(body, BroadcastRequest)
    if not request.channels:
        raise codes.bad_request("channels is required")
    if len(request.channels) > BATCH_LIMIT:
        raise codes.bad_request(f"a broadcast has at most {BATCH_LIMIT} channels")
    data, options = request.payload(), request.options()
    responses: list[Any] = []
    for channel in request.channels:
        try:
            result = await _publish_one(operations, channel_of(channel), data, options)
            responses.append({"result": result})
        except ReplyError as error:
            responses.append({"error": described(error)})
        except StoreUnavailable:
            responses.append({"error": described(codes.internal())})
    return {"responses": responses}


async def _subscribe(operations: Operations, body: bytes) -> Any:
    request: SubscribeRequest = decode(body, SubscribeRequest)
    since = request.recover_since
    await operations.subscribe(
        user=request.user or "",
        channel=channel_of(request.channel),
        **request.whom(),
        info=embedded(request.info, request.b64info, "info"),
        data=embedded(request.data, request.b64data, "data"),
        recover_since=None if since is None else since.position(),
        expire_at=request.expire_at or 0.0,
        override=NO_OVERRIDE if request.override is None else request.override.chosen(),
    )
    return {}


async def _unsubscribe(operations: Operations, body: bytes) -> Any:
    request: UnsubscribeRequest = decode(body, UnsubscribeRequest)
    channel = channel_of(request.channel)
    await operations.unsubscribe(request.user or "", channel, **request.whom())
    return {}


async def _disconnect(operations: Operations, body: bytes) -> Any:
    request: DisconnectRequest = decode(body, DisconnectRequest)
    code, reason = 0, ""
    if request.disconnect is not None:
        code, reason = request.disconnect.code, request.disconnect.reason
        if code and not 3000 <= code <= 4999:
            raise codes.bad_request(f"disconnect.code must be 3000 to 4999, found {code}")
    await operations.disconnect(
        request.user or "",
        **request.whom(),
        whitelist=request.whitelist or (),
        code=code,
        reason=reason,
    )
    return {}


async def _refresh(operations: Operations, body: bytes) -> Any:
    request: RefreshRequest = decode(body, RefreshRequest)
    await operations.refresh(
        request.user or "",
        **request.whom(),
        expired=bool(request.expired),
        expire_at=request.expire_at or 0.0,
        info=embedded(request.info, None, "info"),
    )
    return {}


async def _presence(operations: Operations, body: bytes) -> Any:
    request: ChannelRequest = decode(body, ChannelRequest)
    return PresenceResult(dict(await operations.presence(channel_of(request.channel))))


async def _presence_stats(operations: Operations, body: bytes) -> Any:
    request: ChannelRequest = decode(body, ChannelRequest)
    clients, users = await operations.presence_stats(channel_of(request.channel))
    return PresenceStatsResult(clients, users)


async def _history(operations: Operations, body: bytes) -> Any:
    request: HistoryRequest = decode(body, HistoryRequest)
    stream = await operations.history(
        channel_of(request.channel),
        limit=request.limit or 0,
        since=None if request.since is None else request.since.position(),
        reverse=bool(request.reverse),
    )
    return HistoryResult(list(stream.publications), stream.top.epoch, stream.top.offset)


async def _history_remove(operations: Operations, body: bytes) -> Any:
    request: ChannelRequest = decode(body, ChannelRequest)
    await operations.history_remove(channel_of(request.channel))
    return {}


async def _channels(operations: Operations, body: bytes) -> Any:
    request: ChannelsRequest = decode(body, ChannelsRequest)
    counts = await operations.channels(request.pattern)
    return {"channels": {name: {"num_clients": count} for name, count in counts.items()}}


async def _info(operations: Operations, body: bytes) -> Any:
    decode(body, InfoRequest)
    return {"nodes": list(await operations.info())}


async def _connections(operations: Operations, body: bytes) -> Any:
    request: ConnectionsRequest = decode(body, ConnectionsRequest)
    if not request.user:
        raise codes.bad_request("user is required")
    found = await operations.connections(request.user)
    return {
        "connections": {
            each.client: {
                "user": request.user, "app_name": each.name, "app_version": each.version,
                "session": each.session, "node": each.node, "address": each.address,
                "channels": each.channels,
            }
            for each in found
        }
    }  # fmt: skip


async def _drain(operations: Operations, body: bytes) -> Any:
    request: DrainRequest = decode(body, DrainRequest)
    if not request.node:
        raise codes.bad_request("node is required: its uid or name")
    await operations.drain(request.node)
    return {}


async def _move(operations: Operations, body: bytes) -> Any:
    request: MoveRequest = decode(body, MoveRequest)
    if not request.node:
        raise codes.bad_request("node is required: its uid or name")
    await operations.move(request.node, request.within)
    return {}


async def _rpc(operations: Operations, body: bytes) -> Any:
    request: RPCRequest = decode(body, RPCRequest)
    if not request.method:
        raise codes.bad_request("method is required")
    params = embedded(request.params, None, "params") or embedded(request.data, None, "data")
    answer = await operations.rpc(request.method, params)
    return {} if answer is None else {"data": Raw(answer)}


async def _revoke_token(operations: Operations, body: bytes) -> Any:
    request: RevokeTokenRequest = decode(body, RevokeTokenRequest)
    if not request.uid:
        raise codes.bad_request("uid is required: the jti of the token")
    await operations.revoke_token(request.uid, until=request.expire_at or FOR_EVER)
    return {}


async def _invalidate_user_tokens(operations: Operations, body: bytes) -> Any:
    request: InvalidateUserTokensRequest = decode(body, InvalidateUserTokensRequest)
    if not request.user:
        raise codes.bad_request("user is required")
    await operations.revoke(
        request.user, until=request.expire_at or FOR_EVER, issued_before=request.issued_before
    )
    return {}


METHODS: dict[str, Method] = {
    "publish": _publish,
    "broadcast": _broadcast,
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "disconnect": _disconnect,
    "refresh": _refresh,
    "presence": _presence,
    "presence_stats": _presence_stats,
    "history": _history,
    "history_remove": _history_remove,
    "channels": _channels,
    "info": _info,
    "connections": _connections,
    "drain": _drain,
    "move": _move,
    "rpc": _rpc,
    "revoke_token": _revoke_token,
    "invalidate_user_tokens": _invalidate_user_tokens,
}
