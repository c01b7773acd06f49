"""Keys of JSON Web Key Sets: what is held, for how long, and when fetching again is allowed.

A key is found by (issuer, kid): the issuer of the configuration, never the token's, so that no
issuer's key verifies another's tokens. Random kids cost one fetch a minute and no memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from attrs import define, field

from wsmesh.errors import TokenError, WsmeshError
from wsmesh.security.keys import KeyRefused, VerifyingKey, key_from_jwk

REFETCH_AFTER = 60.0
"""Seconds between fetches that unknown kids cause, while the held keys are trusted."""

RETRY_AFTER = 5.0
"""Seconds between fetches while no key is trusted, that is after a failure."""

KEYS_OF_A_SET = 100
"""Keys taken from one set; issuers publish two to four."""

_CLOCK_DISORDER = 60.0
_KID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class KeyNotHeld(TokenError):
    """The token's key must be fetched first; then the same verification can be tried again.

    :param at: the `now` of the verification that missed the key.
    """

    def __init__(self, issuer: str, kid: str, at: float) -> None:
        super().__init__(f"key {kid} of {issuer} is not held")
        self.issuer = issuer
        self.kid = kid
        self.at = at


class KeysUnavailable(WsmeshError):
    """The issuer's keys cannot be had now; no verdict on the token, the client may retry."""


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


@define
class _Source:
    url: str
    ttl: float
    keys: dict[str, VerifyingKey] = field(factory=dict)
    fetched_at: float | None = None
    failed_at: float | None = None

    def is_trusted(self, now: float) -> bool:
        fetched = self.fetched_at
        return fetched is not None and -_CLOCK_DISORDER <= now - fetched < self.ttl

    def may_fetch(self, now: float) -> bool:
        """Whether the last attempt is long enough ago; a clock that was set back counts as so."""
        trusted = self.is_trusted(now)
        pause = REFETCH_AFTER if trusted else RETRY_AFTER
        attempts = (self.fetched_at if trusted else None, self.failed_at)
        return not any(at is not None and -_CLOCK_DISORDER <= now - at < pause for at in attempts)


class JWKSCache:
    """The key sets of all configured issuers; Unix times are given by the caller."""

    def __init__(self) -> None:
        self._sources: dict[str, _Source] = {}

    def add_source(self, issuer: str, url: str, ttl: float) -> None:
        """Name where an issuer's keys are; saying the same twice is fine.

        :param ttl: seconds for which fetched keys are trusted.
        :raises ValueError: the issuer already has another URL.
        """
        source = self._sources.setdefault(issuer, _Source(url, ttl))
        if source.url != url:
            raise ValueError(f"expected one key set for issuer {issuer}, found two")
        source.ttl = min(ttl, source.ttl)

    def url_of(self, issuer: str) -> str:
        """Where to fetch an issuer's keys, as configured."""
        return self._sources[issuer].url

    def find(self, issuer: str, kid: str, now: float) -> VerifyingKey:
        """Give a trusted key.

        :raises KeyNotHeld: fetch the issuer's set, then ask again.
        :raises KeysUnavailable: not held, and the last fetch failed a moment ago.
        :raises TokenError: the kid is malformed, or unknown to a set that was just fetched.
        """
        if _KID.fullmatch(kid) is None:
            raise TokenError("token names no key, or none that a key set could hold")
        source = self._sources[issuer]
        if source.is_trusted(now) and kid in source.keys:
            return source.keys[kid]
        if source.may_fetch(now):
            raise KeyNotHeld(issuer, kid, now)
        if source.failed_at is None:
            raise TokenError("token is signed by an unknown key")
        raise KeysUnavailable(f"keys of {issuer} cannot be fetched")

    def is_missing(self, missing: KeyNotHeld) -> bool:
        """Whether fetching for `missing` still makes sense: nobody has tried since.

        Nor does it for an issuer that is not configured any more.
        """
        source = self._sources.get(missing.issuer)
        return source is not None and source.may_fetch(missing.at)

    def store(self, issuer: str, document: bytes, now: float) -> None:
        """Take over a fetched set; keys that are missing from it are trusted no longer.

        Keys that cannot be used are skipped, of two with one kid neither is taken.

        :raises KeysUnavailable: it is no key set; what was held stays.
        """
        source = self._sources[issuer]
        try:
            key_set = msgspec.json.decode(document, type=_KeySet)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise KeysUnavailable(f"{source.url} gave no JSON Web Key Set") from None
        source.keys = _usable(key_set.keys[:KEYS_OF_A_SET])
        source.fetched_at = now
        source.failed_at = None

    def failed(self, issuer: str, now: float) -> None:
        """Note that a fetch failed; the next is allowed after a pause."""
        self._sources[issuer].failed_at = now


def _usable(jwks: list[dict[str, Any]]) -> dict[str, VerifyingKey]:
    keys: dict[str, VerifyingKey] = {}
    ambiguous: set[str] = set()
    for jwk in jwks:
        kid = jwk.get("kid")
        if not isinstance(kid, str) or _KID.fullmatch(kid) is None:
            continue
        key = _usable_key(jwk)
        if key is None:
            continue
        if kid in keys:
            ambiguous.add(kid)
        keys[kid] = key
    return {kid: key for kid, key in keys.items() if kid not in ambiguous}


def _usable_key(jwk: Mapping[str, Any]) -> VerifyingKey | None:
    try:
        return key_from_jwk(jwk)
    except KeyRefused:
        return None
