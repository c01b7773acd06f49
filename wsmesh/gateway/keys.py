"""Keys in requests: what a client is placed by, wherever it stands. Pure, and nothing in it raises.

A request is anybody's bytes: what cannot be read is no key.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import TypeAlias
from urllib.parse import parse_qsl

import msgspec

from wsmesh.config.affinity import AffinitySection
from wsmesh.errors import TokenError
from wsmesh.security.jws import take_apart
from wsmesh.security.tokens import TokenVerifier
from wsmesh.wire.request import Request

LONGEST = 1024
"""Bytes of a key; longer ones are none."""

MOST_PARAMETERS = 100

Source: TypeAlias = "Callable[[Request | None, str, float], str | None]"
"""Finds a key by request, address of the client and Unix time."""


def sources(section: AffinitySection, verifier: TokenVerifier) -> list[Source]:
    """Return what `keys` names, in order.

    :param verifier: of connection tokens.
    """
    return [_source(key, section, verifier) for key in section.keys]


def _source(key: str, section: AffinitySection, verifier: TokenVerifier) -> Source:
    kind, _, name = key.partition(":")
    match kind:
        case "ip":
            return lambda _, address, __: network_of(
                address, section.ipv4_prefix, section.ipv6_prefix
            )
        case "header":
            lowered = name.lower()
            return lambda request, _, __: request.header(lowered) if request else None
        case "cookie":
            return lambda request, _, __: cookie(request, name) if request else None
        case "query":
            return lambda request, _, __: parameter(request, name) if request else None
    return lambda request, _, now: (
        _claim(request, name, section, verifier, now) if request else None
    )


@lru_cache(maxsize=4096)
def network_of(address: str, ipv4_prefix: int, ipv6_prefix: int) -> str | None:
    """Return an address with only the bits that count, None for what is no address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if parsed.version == 6 and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = ipv4_prefix if parsed.version == 4 else ipv6_prefix
    if prefix == parsed.max_prefixlen:
        return str(parsed)
    return str(ip_network((parsed, prefix), strict=False))


def cookie(request: Request, name: str) -> str | None:
    """Return the value of a cookie (RFC 6265 section 4.2), None where there is none."""
    for field in request.header_values("cookie"):
        for pair in field.split(";"):
            found, equals, value = pair.strip(" \t").partition("=")
            if equals and found == name:
                return value.strip('"')
    return None


def parameter(request: Request, name: str) -> str | None:
    """Return the first value of a query parameter, None where there is none."""
    if name not in request.query:
        return None
    try:
        pairs = parse_qsl(request.query, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return None
    return next((value for found, value in pairs if found == name), None)


def _claim(
    request: Request, name: str, section: AffinitySection, verifier: TokenVerifier, now: float
) -> str | None:
    token = _token(request, section.token_cookie)
    if token is None:
        return None
    try:
        if section.verify_token:
            verifier.verify_connection(token, now=now)
        claims = msgspec.json.decode(take_apart(token).payload)
    except (TokenError, msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    value = claims.get(name) if isinstance(claims, dict) else None
    # True is an integer, too, but says nothing of who it is.
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None


def _token(request: Request, cookie_name: str) -> str | None:
    scheme, _, token = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return parameter(request, "token") or (cookie(request, cookie_name) if cookie_name else None)


class Seal:
    """Marks ids as given by this cluster, so that nobody chooses where it is placed.

    :param secret: the same in all gateways.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sealed(self, name: bytes) -> str:
        """Return an id with its mark: letters, digits, `-`, `_` and a dot."""
        return f"{_text(name)}.{self._mark(_text(name))}"

    def opened(self, text: str | None) -> str | None:
        """Return the id in a text that `sealed` made, None for any other."""
        name, _, mark = (text or "").partition(".")
        # compare_digest takes only ASCII as text.
        is_ours = hmac.compare_digest(mark.encode(errors="replace"), self._mark(name).encode())
        return name if is_ours else None

    def _mark(self, name: str) -> str:
        digest = hmac.digest(self._secret, b"affinity " + name.encode(errors="replace"), sha256)
        return _text(digest[:12])


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
