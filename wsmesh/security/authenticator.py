"""The node's authentication: verifies at once, and fetches keys where a token needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from wsmesh.config.sections import ClientSection
from wsmesh.security.claims import ConnectionClaims, SubscriptionClaims
from wsmesh.security.jwks import JWKSCache, KeyNotHeld, KeysUnavailable
from wsmesh.security.jwks_fetch import KeySetFetcher
from wsmesh.security.tokens import TokenVerifier

FETCH_WITHIN = 5.0
"""Seconds that fetching a key set may take."""


class Authenticator:
    """Verifies the tokens of clients with the keys of `[client]`.

    :param fetch: gives the document at a URL or raises KeysUnavailable; None: over HTTP.
    :raises ConfigError: naming what cannot be used.
    """

    def __init__(
        self, client: ClientSection, *, fetch: Callable[[str], Awaitable[bytes]] | None = None
    ) -> None:
        self._cache = JWKSCache()
        self._connections = TokenVerifier(client.token, self._cache, path="client.token")
        self._subscriptions = self._connections
        if client.subscription_token.enabled:
            self._subscriptions = TokenVerifier(
                client.subscription_token, self._cache, path="client.subscription_token"
            )
        fetches_keys = self._connections.fetches_keys or self._subscriptions.fetches_keys
        if fetch is None and fetches_keys:
            fetch = KeySetFetcher()
        self._fetch = fetch
        self._flights: dict[str, trio.Event] = {}

    def connection(self, token: str, now: float) -> ConnectionClaims:
        """Verify a connection token; see `TokenVerifier.verify_connection` for what it raises."""
        return self._connections.verify_connection(token, now=now)

    def subscription(self, token: str, now: float) -> SubscriptionClaims:
        """Verify a subscription token; raises like `connection`."""
        return self._subscriptions.verify_subscription(token, now=now)

    async def fetch_key(self, missing: KeyNotHeld) -> None:
        """Fetch the keys of the issuer, at most one fetch at a time; then verify again.

        Raises nothing for a fetch that failed: the next verification says it. Everyone who waits
        waits for the same fetch, so the one who began it carries it to its end (5 s at most) even
        if its client leaves: otherwise clients could keep others from the keys by leaving.
        """
        issuer = missing.issuer
        if issuer in self._flights:
            await self._flights[issuer].wait()
        elif self._cache.is_missing(missing):
            landed = self._flights[issuer] = trio.Event()
            try:
                await self._carry_out(issuer, missing.at)
            finally:
                del self._flights[issuer]
                landed.set()
        await trio.lowlevel.checkpoint()

    async def _carry_out(self, issuer: str, now: float) -> None:
        if self._fetch is None:
            raise RuntimeError("KeyNotHeld without a configured key set")
        is_stored = False
        try:
            with trio.move_on_after(FETCH_WITHIN, shield=True), suppress(KeysUnavailable):
                document = await self._fetch(self._cache.url_of(issuer))
                self._cache.store(issuer, document, now)
                is_stored = True
        finally:
            if not is_stored:
                self._cache.failed(issuer, now)
