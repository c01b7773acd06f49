"""What a refused HTTP request is told: JSON that names the limit or header and the option."""

from __future__ import annotations

from typing import Any

import msgspec

from wsmesh.config.sections import LimitsSection
from wsmesh.config.values import ByteSize, Seconds, in_units

_ELSEWHERE = {"max_connections": "node.max_connections", "origin": "client.allowed_origins"}
"""Options that are not in `[limits]`."""

_OWN_FAULT = {
    "handshake_timeout": Seconds,
    "http_header_count": int,
    "http_header_line": ByteSize,
    "http_head_size": ByteSize,
    "http_path_length": ByteSize,
    "http_body_size": ByteSize,
}
"""Limits a client can keep if it knows them; what a node can take is none of a stranger's business.
"""


def option_of(limit: str) -> str:
    """Return the path of the option that changes a limit (a name of `wsmesh_limit_hits_total`)."""
    return _ELSEWHERE.get(limit) or f"limits.{limit}"


def explained(reason: str, limit: str, field: str, limits: LimitsSection) -> str:
    """Return `reason` with the header field, the option and perhaps its value that explain it.

    :param limit: name of the limit that was hit, empty for none.
    :param field: name of the header field at fault, empty for none or when `reason` has it.
    """
    text = f"{reason}: {field}" if field and field not in reason else reason
    if not limit:
        return text
    kind: Any = _OWN_FAULT.get(limit)
    if kind is None:
        return f"{text}; see {option_of(limit)}"
    return f"{text}; {option_of(limit)} is {in_units(getattr(limits, limit), kind)}"


def error_body(status: int, message: str) -> bytes:
    """Return the JSON of an HTTP error, in the form of the server API's own errors."""
    return msgspec.json.encode({"error": {"code": status, "message": message}})
