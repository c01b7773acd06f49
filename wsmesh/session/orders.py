"""What one node asks another to do with the other's clients. Pure.

An order travels as JSON with its kind; fields that a release does not know are ignored, and a kind
that it does not know is refused. Orders are idempotent: whoever got no answer may repeat them.
"""

from __future__ import annotations

import msgspec
from attrs import frozen
from msgspec import UNSET, Raw, Struct, UnsetType

from wsmesh.errors import WsmeshError
from wsmesh.security.claims import NO_OVERRIDE, Override
from wsmesh.store.interface import Position


class Order(Struct, frozen=True, tag_field="order", omit_defaults=True):
    """Something to do with clients; `user`, `client` and `session` say with which."""


class SubscribeClients(Order, frozen=True, tag="subscribe"):
    """Subscribe the user's connections to a channel."""

    user: str
    channel: str
    client: str = ""
    session: str = ""
    info: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    recover_since: Position | None = None
    expire_at: float = 0.0
    override: Override = NO_OVERRIDE


class UnsubscribeClients(Order, frozen=True, tag="unsubscribe"):
    """End the user's subscriptions to a channel."""

    user: str
    channel: str
    client: str = ""
    session: str = ""


class DisconnectClients(Order, frozen=True, tag="disconnect"):
    """Disconnect the user's connections, except the clients of `whitelist`; code 0: as forced."""

    user: str
    client: str = ""
    session: str = ""
    whitelist: tuple[str, ...] = ()
    code: int = 0
    reason: str = ""


class RefreshClients(Order, frozen=True, tag="refresh"):
    """Set the lifetime of the user's connections, or end them as expired."""

    user: str
    client: str = ""
    session: str = ""
    expired: bool = False
    expire_at: float = 0.0
    info: Raw | UnsetType = UNSET


class RevokeUser(Order, frozen=True, tag="revoke_user"):
    """Refuse the user's tokens issued before a time, and end what they opened. Unix times."""

    user: str
    issued_before: float
    until: float


class RevokeToken(Order, frozen=True, tag="revoke_token"):
    """Refuse a token until a Unix time, and end what it opened."""

    jti: str
    until: float
    iss: str = ""


class FenceSession(Order, frozen=True, tag="fence_session"):
    """A session has this later epoch on another node: stop serving it."""

    name: str
    epoch: int


class CountChannels(Order, frozen=True, tag="channels"):
    """Answer with the channels that match a pattern, and how many are subscribed to each."""

    pattern: str = ""


class DescribeNode(Order, frozen=True, tag="describe"):
    """Answer with a `NodeInfo`."""


class Drain(Order, frozen=True, tag="drain"):
    """Stop taking clients, tell those that are here to go elsewhere, and end, as on SIGTERM."""


class MoveClients(Order, frozen=True, tag="move"):
    """Send all clients elsewhere within so many seconds, and go on."""

    within: float


class ListConnections(Order, frozen=True, tag="connections"):
    """Answer with the user's `ConnectionInfo`s."""

    user: str


@frozen(kw_only=True)
class NodeInfo:
    """One node of the cluster as operators see it.

    :param uptime: seconds.
    :param state: alive, draining, suspect or, when it did not answer, unknown.
    :param capacity: clients it takes at most.
    """

    uid: str
    name: str
    version: str = ""
    num_clients: int = 0
    num_users: int = 0
    num_subs: int = 0
    num_channels: int = 0
    uptime: int = 0
    incarnation: int = 1
    state: str = "alive"
    zone: str = ""
    weight: float = 1.0
    capacity: int = 0
    release: str = ""


@frozen(kw_only=True)
class ConnectionInfo:
    """One connection of a user."""

    client: str
    session: str
    node: str
    address: str
    name: str = ""
    version: str = ""
    channels: tuple[str, ...] = ()


AnyOrder = (
    SubscribeClients | UnsubscribeClients | DisconnectClients | RefreshClients | RevokeUser
    | RevokeToken | FenceSession | CountChannels | DescribeNode | ListConnections | Drain
    | MoveClients
)  # fmt: skip

_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[AnyOrder] = msgspec.json.Decoder(AnyOrder)


class UnknownOrder(WsmeshError):
    """The order is of another release, or no order at all."""


def encode_order(order: AnyOrder) -> bytes:
    """Return the text of an order."""
    return _encode(order)


def decode_order(text: bytes) -> AnyOrder:
    """Return the order that a peer sent.

    :raises UnknownOrder: this release does not know it.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnknownOrder(f"cannot carry out this order: {error}") from error
