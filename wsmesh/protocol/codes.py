"""Codes of the client protocol: errors in replies, unsubscribes and disconnects.

Numbers and meaning are Centrifugo's (its "Client protocol codes" document), so that every
Centrifugo SDK reacts to them without knowing wsmesh.
"""

from __future__ import annotations

from wsmesh.errors import Disconnect, ReplyError


def internal() -> ReplyError:
    """The server failed; the client is not at fault and may retry."""
    return ReplyError(100, "internal server error", temporary=True)


def unauthorized() -> ReplyError:
    """The request lacks valid credentials."""
    return ReplyError(101, "unauthorized")


def unknown_channel() -> ReplyError:
    """The channel's namespace is not configured."""
    return ReplyError(102, "unknown channel")


def permission_denied() -> ReplyError:
    """The operation is not allowed for this client."""
    return ReplyError(103, "permission denied")


def method_not_found() -> ReplyError:
    """Nobody answers this RPC method."""
    return ReplyError(104, "method not found")


def already_subscribed() -> ReplyError:
    """A connection holds at most one subscription to a channel."""
    return ReplyError(105, "already subscribed")


def limit_exceeded() -> ReplyError:
    """A configured limit, e.g. channels per connection, would be exceeded."""
    return ReplyError(106, "limit exceeded")


def bad_request(detail: str = "") -> ReplyError:
    """The request is malformed; retrying it makes no sense."""
    return ReplyError(107, f"bad request: {detail}" if detail else "bad request")


def not_available() -> ReplyError:
    """The feature is not enabled, e.g. history in a channel without history."""
    return ReplyError(108, "not available")


def token_expired() -> ReplyError:
    """SDKs fetch a new token and try again."""
    return ReplyError(109, "token expired")


def expired() -> ReplyError:
    """The connection or subscription expired without a token being involved."""
    return ReplyError(110, "expired")


def too_many_requests() -> ReplyError:
    """A rate limit was exceeded."""
    return ReplyError(111, "too many requests", temporary=True)


def unrecoverable_position() -> ReplyError:
    """The stream no longer holds what a history query asked for."""
    return ReplyError(112, "unrecoverable position")


# Unsubscribe codes; SDKs subscribe again for codes >= 2500.
UNSUBSCRIBED_BY_SERVER = (2000, "server unsubscribe")
UNSUBSCRIBED_INSUFFICIENT_STATE = (2500, "insufficient state")
UNSUBSCRIBED_EXPIRED = (2501, "subscription expired")

# Disconnect codes; SDKs come back after 3000-3499 and 4000-4499, and stay away otherwise.
CONNECTION_CLOSED = Disconnect(3000, "connection closed")
SHUTDOWN = Disconnect(3001, "shutdown")
SERVER_ERROR = Disconnect(3004, "internal server error")
EXPIRED = Disconnect(3005, "connection expired")
SUBSCRIPTION_EXPIRED = Disconnect(3006, "subscription expired")
SLOW = Disconnect(3008, "slow")
WRITE_ERROR = Disconnect(3009, "write error")
INSUFFICIENT_STATE = Disconnect(3010, "insufficient state")
FORCE_RECONNECT = Disconnect(3011, "force reconnect")
NO_PONG = Disconnect(3012, "no pong")
TOO_MANY_REQUESTS = Disconnect(3013, "too many requests")
STATE_INVALIDATED = Disconnect(3014, "state invalidated")
INVALID_TOKEN = Disconnect(3500, "invalid token")
BAD_REQUEST = Disconnect(3501, "bad request")
STALE = Disconnect(3502, "stale")
FORCE_DISCONNECT = Disconnect(3503, "force disconnect")
CONNECTION_LIMIT = Disconnect(3504, "connection limit")
CHANNEL_LIMIT = Disconnect(3505, "channel limit")
INAPPROPRIATE_PROTOCOL = Disconnect(3506, "inappropriate protocol")
PERMISSION_DENIED = Disconnect(3507, "permission denied")
NOT_AVAILABLE = Disconnect(3508, "not available")
TOO_MANY_ERRORS = Disconnect(3509, "too many errors")
# Not Centrifugo's: of the range in which SDKs stay away, for they are back on another connection.
TAKEN_OVER = Disconnect(4509, "session taken over")


def may_return(code: int) -> bool:
    """Whether an SDK reconnects after a close with `code`.

    Official SDKs stay away only for 3500-3999 and 4500-4999, plus 1002, 1003, 1007, 1008, 1009
    which mean that the same bytes would fail again.
    """
    if code < 3000:
        return code not in (1002, 1003, 1007, 1008, 1009)
    return not (3500 <= code < 4000 or 4500 <= code < 5000)


def continues(code: int) -> bool:
    """Whether a client that was closed with `code` may continue its session later.

    1000 is a client that said goodbye; TAKEN_OVER ended a connection, not the session.
    """
    return code == TAKEN_OVER.code or (code != 1000 and may_return(code))


_NAMES = {
    each.code: each.reason
    for each in (
        CONNECTION_CLOSED, SHUTDOWN, SERVER_ERROR, EXPIRED, SUBSCRIPTION_EXPIRED, SLOW,
        WRITE_ERROR, INSUFFICIENT_STATE, FORCE_RECONNECT, NO_PONG, TOO_MANY_REQUESTS,
        STATE_INVALIDATED, INVALID_TOKEN, BAD_REQUEST, STALE, FORCE_DISCONNECT, CONNECTION_LIMIT,
        CHANNEL_LIMIT, INAPPROPRIATE_PROTOCOL, PERMISSION_DENIED, NOT_AVAILABLE, TOO_MANY_ERRORS,
    )
} | {
    1002: "protocol error", 1007: "invalid data", 1008: "policy violation", 1009: "message too big",
    1011: "internal error",
}  # fmt: skip


def name_of(code: int) -> str:
    """Return a close code's fixed name, for labels: never text that a peer could influence."""
    return _NAMES.get(code, "application" if code >= 4000 else "other")
