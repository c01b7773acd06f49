"""Asking a gateway where to connect, so that not even the first byte passes through it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlunsplit

import msgspec
import trio
from attrs import define, field
from msgspec import Struct

from wsmesh.client.urls import split
from wsmesh.fetching import FetchFailed

LARGEST = 256 * 1024
"""Bytes of an answer at most."""

Fetch = Callable[[str], Awaitable[bytes]]
"""Gives the document at a URL or raises FetchFailed."""


class _Node(Struct):
    address: str


class _Answer(Struct):
    nodes: list[_Node]


_decoder = msgspec.json.Decoder(_Answer)


@define(eq=False)
class Placement:
    """Where attempts go: the nodes for a key in the gateway's order, then the gateway itself.

    :param url: the gateway's WebSocket URL; its `/placement` is asked.
    :param key: what the client is placed by, e.g. its user.
    """

    url: str
    _key: str
    _fetch: Fetch
    _left: list[str] = field(factory=list)

    async def next(self, within: float) -> str:
        """Return the URL of the next attempt.

        :param within: seconds for the gateway's answer; without one in time, its own URL.
        """
        if not self._left:
            with trio.move_on_after(within):
                self._left = await self._ask()
        return self._left.pop(0) if self._left else self.url

    def arrived(self) -> None:
        """An attempt succeeded: what comes after it asks anew."""
        self._left = []

    async def _ask(self) -> list[str]:
        parts = split(self.url)
        scheme = "https" if parts.scheme == "wss" else "http"
        where = urlunsplit((scheme, parts.netloc, "/placement", f"key={quote(self._key)}", ""))
        try:
            answer = _decoder.decode(await self._fetch(where))
        except (FetchFailed, msgspec.DecodeError):
            return []  # the gateway places whoever connects to it
        nodes = [node.address for node in answer.nodes if node.address]
        return [parts._replace(netloc=address).geturl() for address in nodes] + [self.url]
