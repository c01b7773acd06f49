"""Verification of tokens: signature, issuer, audience, times; then their claims (RFC 7519)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from msgspec import UNSET

from wsmesh.config.sections import TokenSection
from wsmesh.errors import ConfigError, TokenError, TokenExpired
from wsmesh.security.addresses import is_local
from wsmesh.security.claims import (
    ConnectionClaims,
    RegisteredClaims,
    SubscriptionClaims,
    connection_claims,
    read_connection,
    read_subscription,
    subscription_claims,
    user_of,
)
from wsmesh.security.jwks import JWKSCache
from wsmesh.security.jws import Compact, take_apart
from wsmesh.security.keys import VerifyingKey, static_keys

_PUBLISHED = frozenset({"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"})
_USER_CLAIM = re.compile(r"[A-Za-z_]+")


class TokenVerifier:
    """Verifies tokens with the keys of one configuration section.

    :param section: keys and required claims.
    :param cache: where keys of `jwks_public_endpoint` are held; the section adds its source
        (None: to a cache of its own).
    :param path: of the section in the configuration, for messages.
    :raises ConfigError: naming everything in the section that cannot be used.
    """

    def __init__(
        self, section: TokenSection, cache: JWKSCache | None = None, *, path: str = "client.token"
    ) -> None:
        self._keys = static_keys(section, path=path)
        self._cache = JWKSCache() if cache is None else cache
        self._fetches_keys = bool(section.jwks_public_endpoint)
        self._issuer = section.issuer
        self._audience = section.audience
        self._leeway = section.leeway
        self._user_claim = section.user_id_claim or "sub"
        if not _USER_CLAIM.fullmatch(self._user_claim):
            fault = f"{path}.user_id_claim: expected letters and _, found {self._user_claim!r}"
            raise ConfigError("configuration", [fault])
        if self._fetches_keys:
            self._add_source(section, path)

    def _add_source(self, section: TokenSection, path: str) -> None:
        url = section.jwks_public_endpoint
        faults = []
        if not _is_safe(url):
            faults.append(f"expected an https URL (http only on loopback), found {url!r}")
        if not section.issuer:
            faults.append("expected issuer to be set with it")
        if self._keys:
            faults.append("expected no other keys beside it, as every token needs a kid then")
        if not faults:
            try:
                self._cache.add_source(section.issuer, url, section.jwks_cache_ttl)
            except ValueError as exc:
                faults.append(str(exc))
        if faults:
            raise ConfigError(
                "configuration", [f"{path}.jwks_public_endpoint: {fault}" for fault in faults]
            )

    def __bool__(self) -> bool:
        """Whether any key is configured; without one every token is refused."""
        return self._fetches_keys or bool(self._keys)

    @property
    def fetches_keys(self) -> bool:
        """Whether keys come from a key set, so that `KeyNotHeld` is possible."""
        return self._fetches_keys

    def verify_connection(self, token: str, *, now: float) -> ConnectionClaims:
        """Verify a connection token and give its claims.

        :param now: Unix time.
        :raises TokenExpired: it is sound, but its `exp` is more than the leeway ago.
        :raises KeyNotHeld: its key must be fetched first.
        :raises KeysUnavailable: its key cannot be fetched now.
        :raises TokenError: anything else that is wrong with it, or it is a subscription token.
        """
        payload = self._verified_payload(token, now)
        claims = read_connection(payload)
        self._check_registered(claims, now)
        return connection_claims(claims, user_of(claims, payload, self._user_claim))

    def verify_subscription(self, token: str, *, now: float) -> SubscriptionClaims:
        """Verify a subscription token and give its claims; raises like `verify_connection`."""
        payload = self._verified_payload(token, now)
        claims = read_subscription(payload)
        self._check_registered(claims, now)
        return subscription_claims(claims, user_of(claims, payload, self._user_claim))

    def _verified_payload(self, token: str, now: float) -> bytes:
        compact = take_apart(token)
        key = self._key_for(compact, now)
        if not key.verifies(compact.algorithm, compact.signed, compact.signature):
            raise TokenError("token signature does not verify")
        return compact.payload

    def _key_for(self, compact: Compact, now: float) -> VerifyingKey:
        algorithm = compact.algorithm
        if self._fetches_keys and algorithm in _PUBLISHED:
            return self._cache.find(self._issuer, compact.kid, now)
        if algorithm not in self._keys:
            raise TokenError("token algorithm has no key here")
        return self._keys[algorithm]

    def _check_registered(self, claims: RegisteredClaims, now: float) -> None:
        """Check iss, aud, nbf and exp (RFC 7519 section 4.1); exp last: the rest must be sound."""
        if self._issuer and claims.iss != self._issuer:
            raise TokenError("token is of another issuer")
        if self._audience and not self._is_for_us(claims):
            raise TokenError("token is for another audience")
        if claims.nbf is not UNSET and claims.nbf > now + self._leeway:
            raise TokenError("token is not valid yet")
        if claims.exp is not UNSET and claims.exp <= now - self._leeway:
            raise TokenExpired("token has expired")

    def _is_for_us(self, claims: RegisteredClaims) -> bool:
        if claims.aud is UNSET:
            return False
        if isinstance(claims.aud, str):
            return claims.aud == self._audience
        return self._audience in claims.aud


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and (host == "localhost" or (bool(host) and is_local(host)))
