"""What the end of a connection means: come back, when, or stay away; pure.

Sources: Centrifugo, "Client protocol codes" and "Client SDK specification"; RFC 9110 section 10.2.3
for `Retry-After`.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parsedate_to_datetime

from attrs import frozen

from wsmesh.protocol.codes import may_return
from wsmesh.protocol.messages import ErrorObject
from wsmesh.protocol.resume import RETRY_AFTER_MS

# Codes of the client itself; the protocol leaves those below 100 to implementations.
CLOSED_BY_USER = 0
TRANSPORT_CLOSED = 1
NO_PING = 2
SUBSCRIBE_TIMEOUT = 3
BAD_PROTOCOL = 4
UNAUTHORIZED = 5
NO_TOKEN = 6

#: The connection is sound, but its token is too old (error 109); closes that ask for a new one.
TOKEN_EXPIRED = 109
_STALE_TOKEN_CLOSES = frozenset({3005, 3014})

#: Nobody is made to wait longer than this by a header, seconds.
LONGEST_ADVICE = 300.0

#: Unsubscribe codes from here on ask the client to subscribe again.
FIRST_RESUBSCRIBE_CODE = 2500


@frozen
class Ending:
    """Why a connection, or an attempt at one, ended.

    :param terminal: coming back would not help.
    :param retry_after: seconds the server asked to stay away, 0 when it did not.
    :param is_slot: `retry_after` is this client's own moment, nobody else's.
    :param stale_token: the next attempt needs a new connection token.
    """

    code: int
    reason: str
    terminal: bool = False
    retry_after: float = 0.0
    is_slot: bool = False
    stale_token: bool = False


def lost(reason: str, code: int = TRANSPORT_CLOSED) -> Ending:
    """The connection broke without a word of the server."""
    return Ending(code, reason)


def of_close(code: int, reason: str) -> Ending:
    """Judge a WebSocket close frame, or a `disconnect` push."""
    return Ending(
        code, reason, terminal=not may_return(code), stale_token=code in _STALE_TOKEN_CLOSES
    )


def of_connect_error(error: ErrorObject) -> Ending:
    """Judge an error in the reply to `connect`."""
    if error.code == TOKEN_EXPIRED:
        return Ending(error.code, error.message, stale_token=True)
    return Ending(error.code, error.message, terminal=not is_worth_retrying(error))


def of_rejection(status: int, headers: Iterable[tuple[bytes, bytes]], now: float) -> Ending:
    """Judge an HTTP answer that is not an upgrade; always worth another attempt.

    :param now: seconds since the epoch, to understand a date in `Retry-After`.
    """
    known = {name.lower(): value for name, value in headers}
    reason = f"handshake answered HTTP {status}"
    slot = known.get(RETRY_AFTER_MS.encode(), b"").strip()
    if slot.isdigit():
        advice = min(int(slot[:9]) / 1000, LONGEST_ADVICE)
        return Ending(TRANSPORT_CLOSED, reason, retry_after=advice, is_slot=True)
    advice = retry_after(known.get(b"retry-after", b""), now)
    return Ending(TRANSPORT_CLOSED, reason, retry_after=advice)


def retry_after(value: bytes, now: float) -> float:
    """Return the seconds a `Retry-After` asks for: 0 to `LONGEST_ADVICE`, 0 when malformed."""
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_ADVICE)
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, moment - now), LONGEST_ADVICE)


def is_worth_retrying(error: ErrorObject) -> bool:
    """Whether the same request may succeed later."""
    return error.temporary or error.code < 100


def asks_to_resubscribe(code: int) -> bool:
    """Whether an unsubscribe with `code` is followed by a new subscribe."""
    return code >= FIRST_RESUBSCRIBE_CODE
