"""The byte stream under a WebSocket handshake, made to fail loudly and early.

trio-websocket waits for ever when the peer hangs up, or speaks something else than HTTP, before the
upgrade; and it forgets the status of a refusal whose body ends with the connection. This stream
turns both into an `AttemptFailed`, and is transparent once the upgrade is done.
"""

from __future__ import annotations

import time

import trio
from attrs import define

from wsmesh.client import advice
from wsmesh.client.advice import Ending
from wsmesh.errors import WsmeshError

#: The beginning of the answer that is kept to read the status and `Retry-After` from.
_KEPT_BYTES = 16 * 1024


class AttemptFailed(WsmeshError):
    """No connection came of it; `ending` says why and when to try again."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


@define(eq=False)
class HandshakeStream(trio.abc.Stream):
    """`inner`, but until `is_upgraded` its end is an error."""

    inner: trio.abc.Stream
    is_upgraded: bool = False
    _seen: bytes = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; :raises AttemptFailed: when the input ends before the upgrade."""
        try:
            data = await self.inner.receive_some(max_bytes)
        except trio.BrokenResourceError as fault:
            if self.is_upgraded:
                raise
            raise AttemptFailed(self._judge(f"connection lost: {fault}")) from fault
        if not self.is_upgraded:
            if not data:
                raise AttemptFailed(self._judge("the server hung up"))
            self._seen = (self._seen + data)[:_KEPT_BYTES]
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait for room."""
        await self.inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close; before the upgrade that means that the answer was not understood."""
        await self.inner.aclose()
        if not self.is_upgraded:
            raise AttemptFailed(self._judge("the answer was not HTTP"))

    def _judge(self, otherwise: str) -> Ending:
        head, _, _ = self._seen.partition(b"\r\n\r\n")
        status_line, *lines = head.split(b"\r\n")
        words = status_line.split(b" ")
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            return advice.lost(f"{otherwise} in the handshake")
        fields = (line.partition(b":") for line in lines)
        headers = [(name.strip(), value) for name, colon, value in fields if colon]
        return advice.of_rejection(int(words[1]), headers, time.time())
