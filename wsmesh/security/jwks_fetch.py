"""Fetching a JSON Web Key Set: one bounded GET, without redirects, under the caller's deadline."""

from __future__ import annotations

import trio

from wsmesh.security.jwks import KeysUnavailable

DOCUMENT_BYTES = 256 * 1024
"""Largest key set accepted."""


class KeySetFetcher:
    """Fetches key sets with httpx2, which is imported when one is made and not before."""

    def __init__(self) -> None:
        import httpx2

        self._tls = httpx2.create_ssl_context()

    async def __call__(self, url: str) -> bytes:
        """Give the document at `url`.

        :raises KeysUnavailable: no connection, another status than 200, or too much data.
        """
        import httpx2

        headers = {"accept": "application/json", "accept-encoding": "identity"}
        body = bytearray()
        try:
            async with (
                httpx2.AsyncClient(verify=self._tls, timeout=None, headers=headers) as client,
                client.stream("GET", url, follow_redirects=False) as response,
            ):
                if response.status_code != 200:
                    raise KeysUnavailable(f"{url} answered {response.status_code}")
                # Cancelling ends httpx2's nested generators in order; leaving the loop would not.
                with trio.CancelScope() as reading:
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > DOCUMENT_BYTES:
                            reading.cancel()
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise KeysUnavailable(f"{url} cannot be fetched: {type(exc).__name__}") from exc
        if len(body) > DOCUMENT_BYTES:
            raise KeysUnavailable(f"{url} gave more than {DOCUMENT_BYTES} bytes")
        return bytes(body)
