"""Requests of the server API (Centrifugo's "Server API" document); unknown fields are ignored."""

from __future__ import annotations

from base64 import b64decode
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from wsmesh.errors import ReplyError
from wsmesh.protocol import codes
from wsmesh.protocol.codec import is_json
from wsmesh.security.claims import Override
from wsmesh.store.interface import Position

Embedded = Raw | UnsetType

Counter = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Offsets and versions: unsigned 64-bit integers at Centrifugo, of which msgspec checks 63 bits."""

Limit = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""A 32-bit integer; any negative one asks for everything."""

UnixTime = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""Whole seconds; beyond 53 bits neither a float nor a JavaScript client could hold them."""


SPARE = 20
"""Levels of nesting left for whoever parses accepted JSON again further down the stack."""

SHALLOW = 500
"""Bytes that cannot nest too deep."""


class _Bool(msgspec.Struct):
    value: bool


class _Override(msgspec.Struct):
    presence: _Bool | None = None
    join_leave: _Bool | None = None
    force_recovery: _Bool | None = None
    force_positioning: _Bool | None = None
    force_push_join_leave: _Bool | None = None

    def chosen(self) -> Override:
        """Return it as the rest of wsmesh has it."""
        facts = {name: getattr(self, name) for name in self.__struct_fields__}
        return Override(**{name: each and each.value for name, each in facts.items()})


class _Position(msgspec.Struct):
    offset: Counter = 0
    epoch: str = ""

    def position(self) -> Position:
        """Return it as the store has it."""
        return Position(self.epoch, self.offset)


class _Disconnect(msgspec.Struct):
    code: int = 0
    reason: str = ""


class _Publishing(msgspec.Struct):
    data: Embedded = UNSET
    b64data: str | None = None
    skip_history: bool | None = None
    tags: dict[str, str] | None = None
    idempotency_key: str | None = None
    delta: bool | None = None
    version: Counter | None = None
    version_epoch: str | None = None

    def payload(self) -> bytes:
        """Return the JSON to publish.

        :raises ReplyError: 107, there is none, or `b64data` holds no JSON.
        """
        payload = embedded(self.data, self.b64data, "data")
        if payload is None:
            raise codes.bad_request("data is required")
        return payload

    def options(self) -> dict[str, Any]:
        """Return what `Operations.publish` takes besides channel and data."""
        return {
            "tags": self.tags,
            "skip_history": bool(self.skip_history),
            "idempotency_key": self.idempotency_key or "",
            "version": self.version or 0,
            "version_epoch": self.version_epoch or "",
        }


class PublishRequest(_Publishing):
    """Publish into one channel."""

    channel: str = ""


class BroadcastRequest(_Publishing):
    """Publish the same data into several channels."""

    channels: list[str] = []


class _OfUser(msgspec.Struct):
    user: str | None = None
    client: str | None = None
    session: str | None = None

    def whom(self) -> dict[str, str]:
        """Return the connections that are meant.

        :raises ReplyError: 107, no user is named. The empty one is the anonymous user.
        """
        if self.user is None:
            raise codes.bad_request("user is required")
        return {"client": self.client or "", "session": self.session or ""}


class SubscribeRequest(_OfUser):
    """Subscribe a user's connections."""

    channel: str = ""
    info: Embedded = UNSET
    b64info: str | None = None
    data: Embedded = UNSET
    b64data: str | None = None
    recover_since: _Position | None = None
    expire_at: UnixTime | None = None
    override: _Override | None = None


class UnsubscribeRequest(_OfUser):
    """Unsubscribe a user's connections."""

    channel: str = ""


class DisconnectRequest(_OfUser):
    """Disconnect a user's connections."""

    whitelist: list[str] | None = None
    disconnect: _Disconnect | None = None


class RefreshRequest(_OfUser):
    """Set the lifetime of a user's connections."""

    expired: bool | None = None
    expire_at: UnixTime | None = None
    info: Embedded = UNSET


class ChannelRequest(msgspec.Struct):
    """presence, presence_stats, history_remove."""

    channel: str = ""


class HistoryRequest(ChannelRequest):
    """Read a stream; without `limit` only its top."""

    limit: Limit | None = None
    since: _Position | None = None
    reverse: bool | None = None


class RevokeTokenRequest(msgspec.Struct):
    """Refuse one token, named by its `jti`, and end the connections it opened."""

    uid: str = ""
    expire_at: UnixTime | None = None


class InvalidateUserTokensRequest(msgspec.Struct):
    """Refuse a user's tokens issued so far, and end the user's connections."""

    user: str | None = None
    expire_at: UnixTime | None = None
    issued_before: UnixTime | None = None


class ChannelsRequest(msgspec.Struct):
    """List channels."""

    pattern: str | None = None


class InfoRequest(msgspec.Struct):
    """List nodes."""


class ConnectionsRequest(msgspec.Struct):
    """Body of `connections`."""

    user: str | None = None


class DrainRequest(msgspec.Struct):
    """Body of `drain`."""

    node: str | None = None


class MoveRequest(msgspec.Struct):
    """Body of `move`."""

    node: str | None = None
    within: Annotated[float, Meta(ge=0, le=86_400)] = 30.0


class RPCRequest(msgspec.Struct):
    """Call the application."""

    method: str = ""
    params: Embedded = UNSET
    data: Embedded = UNSET


class NamedRequest(msgspec.Struct):
    """The old form of any request: POST /api with the method in the body."""

    method: str = ""
    params: Raw = Raw(b"{}")


class BatchRequest(msgspec.Struct):
    """Several commands in one request; with `parallel` their order is not promised."""

    commands: list[dict[str, Raw]] = []
    parallel: bool | None = None


def channel_of(channel: str) -> str:
    """Return a channel that has to be named.

    :raises ReplyError: 107.
    """
    if not channel:
        raise codes.bad_request("channel is required")
    return channel


def embedded(plain: Embedded, encoded: str | None, name: str) -> bytes | None:
    """Return embedded JSON given as it is or in base64, None when neither is there.

    :raises ReplyError: 107, the base64 is malformed or holds no JSON: this node speaks JSON only.
    """
    if encoded:
        try:
            payload = b64decode(encoded, validate=True)
        except ValueError as error:
            raise codes.bad_request(f"b64{name} is not base64") from error
        if not is_json(payload):
            raise codes.bad_request(f"b64{name} must hold JSON; binary data is not supported")
    elif plain is UNSET:
        return None
    else:
        payload = bytes(plain)
        if not is_json(payload):
            raise codes.bad_request(f"{name} is not valid JSON")
    if len(payload) > SHALLOW and not is_json(b"[" * SPARE + payload + b"]" * SPARE):
        raise codes.bad_request(f"{name} is nested too deep")
    return payload


def decode(body: bytes, kind: type[Any]) -> Any:
    """Decode a request.

    :raises ReplyError: 107, naming the field.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except RecursionError as error:
        raise codes.bad_request("nested too deep") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReplyError(107, f"bad request: {error}"[:300]) from error
