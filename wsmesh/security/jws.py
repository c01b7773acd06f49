"""The compact form of a signed token (RFC 7515 section 7.1): three base64url parts, one header.

Strict: no padding, no characters outside the alphabet, no bits left over, so that one signed
token has one spelling. Nothing in the header can bring a key or name a place to fetch one.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from typing import Any

import msgspec
from attrs import frozen
from msgspec import UNSET

from wsmesh.errors import TokenError

HEADER_CHARACTERS = 4096
"""Longest encoded header; it is parsed before anything is verified."""

_TYPES = frozenset({"jwt", "at+jwt"})
_TO_STANDARD = bytes(
    ord("+") if c == ord("-") else ord("/") if c == ord("_") else ord("!") if c in b"+/=" else c
    for c in range(256)
)
_PADDING = (b"", b"!", b"==", b"=")


class _Header(msgspec.Struct, gc=False):
    alg: str
    typ: str | None = None
    kid: str = ""
    crit: Any = UNSET
    b64: Any = UNSET


_header_decoder = msgspec.json.Decoder(_Header)


@frozen(slots=True)
class Compact:
    """A token taken apart; nothing of it is verified yet."""

    algorithm: str
    kid: str
    signed: bytes
    payload: bytes
    signature: bytes


def decode_base64url(text: bytes) -> bytes:
    """Decode RFC 7515's base64url without padding.

    :raises TokenError: anything but the one canonical spelling of some bytes.
    """
    standard = text.translate(_TO_STANDARD) + _PADDING[len(text) & 3]
    try:
        decoded = a2b_base64(standard, strict_mode=True)
    except Base64Error:
        raise TokenError("token is not base64url") from None
    if b2a_base64(decoded, newline=False) != standard:
        raise TokenError("token is not canonical base64url")
    return decoded


def _read_header(encoded: bytes) -> _Header:
    if len(encoded) > HEADER_CHARACTERS:
        raise TokenError(f"token header is longer than {HEADER_CHARACTERS} characters")
    try:
        header = _header_decoder.decode(decode_base64url(encoded))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise TokenError("token header is not a JOSE header") from None
    if header.crit is not UNSET or header.b64 is not UNSET:
        raise TokenError("token needs extensions that are not supported")
    if header.typ is not None:
        kind = header.typ.lower().removeprefix("application/")
        if kind not in _TYPES:
            raise TokenError("token is of another type")
    return header


def take_apart(token: str) -> Compact:
    """Split a token and decode its parts, without verifying anything.

    :raises TokenError: it is not a compact JWS, is of another `typ` than "JWT" or "at+jwt"
        (RFC 8725 section 3.11), or has a `crit` header (RFC 7515 section 4.1.11: none is known).
    """
    try:
        head, payload, signature = token.encode("ascii").split(b".")
    except ValueError:
        raise TokenError("token is not three parts of ASCII") from None
    header = _read_header(head)
    return Compact(
        algorithm=header.alg,
        kid=header.kid,
        signed=head + b"." + payload,
        payload=decode_base64url(payload),
        signature=decode_base64url(signature),
    )
