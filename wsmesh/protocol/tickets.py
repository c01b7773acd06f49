"""Tickets: who is sent away shows at the gateway which node has a place for it. Pure.

A ticket is `MEMBER.EXPIRES.MARK`: the member's id in base64url, the Unix second after which it is
worth nothing, and an HMAC of both (RFC 2104) by what all nodes and gateways of a cluster know.
It opens no door: a gateway that cannot read it, or whose node has no place, places as always.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from math import ceil

LONGEST = 1024
"""Characters of a ticket."""

_MARK_BYTES = 18


def issue(secret: bytes, member: str, expires: float) -> str:
    """Return a ticket.

    :param secret: the cluster's.
    :param member: id of the node in gateways' views, `NODE/INCARNATION`.
    :param expires: Unix time.
    """
    claim = f"{_text(member.encode())}.{ceil(expires)}"
    return f"{claim}.{_mark(secret, claim)}"


def read(secret: bytes, ticket: str, now: float) -> str:
    """Return the member that a ticket names, or "" where it is none of ours, or too old.

    :param now: Unix time.
    """
    claim, _, mark = ticket[:LONGEST].rpartition(".")
    if not hmac.compare_digest(mark.encode(errors="replace"), _mark(secret, claim).encode()):
        return ""
    member, _, expires = claim.partition(".")
    if int(expires) < now:
        return ""
    try:
        return urlsafe_b64decode(member + "=" * (-len(member) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _mark(secret: bytes, claim: str) -> str:
    digest = hmac.digest(secret, b"ticket " + claim.encode(errors="replace"), sha256)
    return _text(digest[:_MARK_BYTES])


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
