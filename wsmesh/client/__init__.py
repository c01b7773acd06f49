"""The Trio client SDK: subscriptions as async iterators that survive reconnections."""

from wsmesh.client.backoff import Backoff
from wsmesh.client.client import Client
from wsmesh.client.errors import (
    ClientError,
    Disconnected,
    MoveFailed,
    NotConnected,
    OutcomeUnknown,
    RequestTimeout,
    Unauthorized,
)
from wsmesh.client.events import (
    ClientEvent,
    ClientInfo,
    Connected,
    Connecting,
    Dropped,
    History,
    Joined,
    Left,
    PresenceStats,
    Publication,
    Subscribed,
    SubscriptionEvent,
    TokenUnavailable,
    Unsubscribed,
)
from wsmesh.client.inbox import Messages, ServerPublications
from wsmesh.client.opening import open_client
from wsmesh.client.options import Deadlines
from wsmesh.client.subscription import Subscription
from wsmesh.errors import ReplyError
from wsmesh.protocol.messages import StreamPosition

__all__ = [
    "Backoff",
    "Client",
    "ClientError",
    "ClientEvent",
    "ClientInfo",
    "Connected",
    "Connecting",
    "Deadlines",
    "Disconnected",
    "Dropped",
    "History",
    "Joined",
    "Left",
    "Messages",
    "MoveFailed",
    "NotConnected",
    "OutcomeUnknown",
    "PresenceStats",
    "Publication",
    "ReplyError",
    "RequestTimeout",
    "ServerPublications",
    "StreamPosition",
    "Subscribed",
    "SubscriptionEvent",
    "Subscription",
    "TokenUnavailable",
    "Unauthorized",
    "Unsubscribed",
    "open_client",
]
