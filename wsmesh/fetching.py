"""One bounded HTTP GET, without redirects, under the caller's deadline."""

from __future__ import annotations

from ssl import SSLContext

import trio

from wsmesh.errors import WsmeshError


class FetchFailed(WsmeshError):
    """No connection, another status than 200, or too much data."""


class Fetcher:
    """Fetches documents with httpx2, which is imported when a fetcher is made and not before.

    :param tls: None: the system's certificate authorities.
    :param largest: bytes of a document at most.
    """

    def __init__(self, *, largest: int, tls: SSLContext | None = None) -> None:
        import httpx2

        self._tls = tls or httpx2.create_ssl_context()
        self._largest = largest

    async def __call__(self, url: str) -> bytes:
        """Give the document at `url`.

        :raises FetchFailed: saying why there is none.
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
                    raise FetchFailed(f"{url} answered {response.status_code}")
                # Cancelling ends httpx2's nested generators in order; leaving the loop would not.
                with trio.CancelScope() as reading:
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > self._largest:
                            reading.cancel()
        except (httpx2.HTTPError, httpx2.InvalidURL) as exc:
            raise FetchFailed(f"{url} cannot be fetched: {type(exc).__name__}") from exc
        if len(body) > self._largest:
            raise FetchFailed(f"{url} gave more than {self._largest} bytes")
        return bytes(body)
