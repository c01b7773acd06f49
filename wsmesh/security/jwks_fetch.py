"""Fetching a JSON Web Key Set."""

from __future__ import annotations

from wsmesh.fetching import Fetcher, FetchFailed
from wsmesh.security.jwks import KeysUnavailable

DOCUMENT_BYTES = 256 * 1024
"""Largest key set accepted."""


class KeySetFetcher:
    """Fetches key sets."""

    def __init__(self) -> None:
        self._fetch = Fetcher(largest=DOCUMENT_BYTES)

    async def __call__(self, url: str) -> bytes:
        """Give the document at `url`.

        :raises KeysUnavailable: no connection, another status than 200, or too much data.
        """
        try:
            return await self._fetch(url)
        except FetchFailed as error:
            raise KeysUnavailable(str(error)) from error
