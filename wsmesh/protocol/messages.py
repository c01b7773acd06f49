"""The messages of the Centrifugo client protocol v2 (`definitions/client.proto`), JSON form.

Every struct leaves out fields that hold their default, as the reference JSON encoding does.
`bytes` fields of the definition are embedded JSON: kept as `msgspec.Raw`, never parsed here.
Fields that a Centrifugo OSS server does not act on (map subscriptions, dictionaries) are not
declared; unknown fields are ignored, so newer SDKs still connect.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType

from wsmesh.protocol.resume import Reconnect, Resume, Resumption


class ErrorObject(msgspec.Struct, omit_defaults=True):
    """Error of a reply."""

    code: int = 0
    message: str = ""
    temporary: bool = False


class ClientInfo(msgspec.Struct, omit_defaults=True):
    """Who published, joined, left or is present."""

    user: str = ""
    client: str = ""
    conn_info: Raw | UnsetType = UNSET
    chan_info: Raw | UnsetType = UNSET


class Publication(msgspec.Struct, omit_defaults=True):
    """One message of a channel; `offset` is 0 in channels without history."""

    data: Raw
    info: ClientInfo | None = None
    offset: int = 0
    tags: dict[str, str] | None = None
    time: int = 0


class StreamPosition(msgspec.Struct, omit_defaults=True):
    """A place in a channel's stream."""

    offset: int = 0
    epoch: str = ""


# -- commands ---------------------------------------------------------------------------------


class SubscribeRequest(msgspec.Struct, omit_defaults=True):
    """Subscribe to a channel, perhaps recovering from a known position."""

    channel: str = ""
    token: str = ""
    recover: bool = False
    epoch: str = ""
    offset: int = 0
    data: Raw | UnsetType = UNSET
    positioned: bool = False
    recoverable: bool = False
    join_leave: bool = False
    delta: str = ""


class ConnectRequest(msgspec.Struct, omit_defaults=True):
    """The first command of every connection."""

    token: str = ""
    data: Raw | UnsetType = UNSET
    subs: dict[str, SubscribeRequest] | None = None
    name: str = ""
    version: str = ""
    headers: dict[str, str] | None = None
    resume: Resume | None = None


class UnsubscribeRequest(msgspec.Struct, omit_defaults=True):
    """Leave a channel."""

    channel: str = ""


class PublishRequest(msgspec.Struct, omit_defaults=True):
    """Publish into a channel."""

    channel: str = ""
    data: Raw | UnsetType = UNSET


class PresenceRequest(msgspec.Struct, omit_defaults=True):
    """Who is in a channel."""

    channel: str = ""


class PresenceStatsRequest(msgspec.Struct, omit_defaults=True):
    """How many are in a channel."""

    channel: str = ""


class HistoryRequest(msgspec.Struct, omit_defaults=True):
    """Read a channel's stream; `limit` 0 asks for the top position only, -1 for all."""

    channel: str = ""
    limit: int = 0
    since: StreamPosition | None = None
    reverse: bool = False


class PingRequest(msgspec.Struct):
    """Empty."""


class SendRequest(msgspec.Struct, omit_defaults=True):
    """A message without a reply."""

    data: Raw | UnsetType = UNSET


class RPCRequest(msgspec.Struct, omit_defaults=True):
    """Call application code."""

    data: Raw | UnsetType = UNSET
    method: str = ""


class RefreshRequest(msgspec.Struct, omit_defaults=True):
    """Bring a fresh connection token."""

    token: str = ""


class SubRefreshRequest(msgspec.Struct, omit_defaults=True):
    """Bring a fresh subscription token."""

    channel: str = ""
    token: str = ""


class Command(msgspec.Struct, omit_defaults=True):
    """The client's envelope; the first field that is set is the request."""

    id: int = 0
    connect: ConnectRequest | None = None
    subscribe: SubscribeRequest | None = None
    unsubscribe: UnsubscribeRequest | None = None
    publish: PublishRequest | None = None
    presence: PresenceRequest | None = None
    presence_stats: PresenceStatsRequest | None = None
    history: HistoryRequest | None = None
    ping: PingRequest | None = None
    send: SendRequest | None = None
    rpc: RPCRequest | None = None
    refresh: RefreshRequest | None = None
    sub_refresh: SubRefreshRequest | None = None


# -- replies ----------------------------------------------------------------------------------


class SubscribeResult(msgspec.Struct, omit_defaults=True):
    """Outcome of a subscribe; also a member of `ConnectResult.subs`."""

    expires: bool = False
    ttl: int = 0
    recoverable: bool = False
    epoch: str = ""
    publications: list[Publication] | None = None
    recovered: bool = False
    offset: int = 0
    positioned: bool = False
    data: Raw | UnsetType = UNSET
    was_recovering: bool = False


class ConnectResult(msgspec.Struct, omit_defaults=True):
    """Outcome of a connect; also the `connect` push of unidirectional transports."""

    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: int = 0
    data: Raw | UnsetType = UNSET
    subs: dict[str, SubscribeResult] | None = None
    ping: int = 0
    pong: bool = False
    session: str = ""
    node: str = ""
    time: int = 0
    resume: Resumption | None = None


class Empty(msgspec.Struct):
    """A result without fields."""


class PresenceResult(msgspec.Struct):
    """Client id -> info."""

    presence: dict[str, ClientInfo] = {}


class PresenceStatsResult(msgspec.Struct, omit_defaults=True):
    """Counts of clients and of distinct users."""

    num_clients: int = 0
    num_users: int = 0


class HistoryResult(msgspec.Struct, omit_defaults=True):
    """Publications and the stream's top position."""

    publications: list[Publication] | None = None
    epoch: str = ""
    offset: int = 0


class RPCResult(msgspec.Struct, omit_defaults=True):
    """What the application answered."""

    data: Raw | UnsetType = UNSET


class RefreshResult(msgspec.Struct, omit_defaults=True):
    """New lifetime of the connection."""

    client: str = ""
    version: str = ""
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(msgspec.Struct, omit_defaults=True):
    """New lifetime of a subscription."""

    expires: bool = False
    ttl: int = 0


class Join(msgspec.Struct):
    """Somebody subscribed."""

    info: ClientInfo


class Leave(msgspec.Struct):
    """Somebody left."""

    info: ClientInfo


class Unsubscribe(msgspec.Struct, omit_defaults=True):
    """The server ended a subscription."""

    code: int = 0
    reason: str = ""


class SubscribePush(msgspec.Struct, omit_defaults=True):
    """The server created a subscription."""

    recoverable: bool = False
    epoch: str = ""
    offset: int = 0
    positioned: bool = False
    data: Raw | UnsetType = UNSET


class Message(msgspec.Struct):
    """Data for this client alone."""

    data: Raw


class DisconnectPush(msgspec.Struct, omit_defaults=True):
    """The server is about to close (unidirectional transports)."""

    code: int = 0
    reason: str = ""
    reconnect: bool = False


class RefreshPush(msgspec.Struct, omit_defaults=True):
    """The server renewed the connection's lifetime."""

    expires: bool = False
    ttl: int = 0


class Push(msgspec.Struct, omit_defaults=True):
    """The server's message outside of any reply."""

    channel: str = ""
    pub: Publication | None = None
    join: Join | None = None
    leave: Leave | None = None
    unsubscribe: Unsubscribe | None = None
    message: Message | None = None
    subscribe: SubscribePush | None = None
    connect: ConnectResult | None = None
    disconnect: DisconnectPush | None = None
    refresh: RefreshPush | None = None
    reconnect: Reconnect | None = None


class Reply(msgspec.Struct, omit_defaults=True):
    """The server's envelope; `id` 0 marks a push."""

    id: int = 0
    error: ErrorObject | None = None
    push: Push | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: Empty | None = None
    publish: Empty | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStatsResult | None = None
    history: HistoryResult | None = None
    ping: Empty | None = None
    rpc: RPCResult | None = None
    refresh: RefreshResult | None = None
    sub_refresh: SubRefreshResult | None = None
