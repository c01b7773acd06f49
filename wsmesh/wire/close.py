"""Payloads of close frames (RFC 6455 sections 5.5.1 and 7.4)."""

from __future__ import annotations

from wsmesh.errors import ProtocolViolation

NO_STATUS = 1005
"""Stands for a close frame without a code; never on the wire."""

REASON_BYTES = 123
"""A control frame's 125 bytes without the code."""

_STANDARD = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))
"""Those of the IANA registry that may be on the wire."""


def is_sendable(code: int) -> bool:
    """Whether a close code may be on the wire."""
    return code in _STANDARD or 3000 <= code <= 4999


def parse_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason; an empty payload is `NO_STATUS`.

    :raises ProtocolViolation: 1002 truncated or a code that nobody may send, 1007 the reason is
        not UTF-8.
    """
    if not payload:
        return NO_STATUS, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not is_sendable(code):
        raise ProtocolViolation(1002, "invalid close frame")
    try:
        return code, payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolViolation(1007, "close reason is not UTF-8") from None


def close_payload(code: int, reason: str) -> bytes:
    """Return the payload that says so; a reason that is too long is cut between characters.

    :raises ValueError: the code may not be on the wire.
    """
    if not is_sendable(code):
        raise ValueError(f"expected a close code that may be sent, found {code}")
    text = reason.encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore")
    return code.to_bytes(2, "big") + text.encode("utf-8")
