"""What a connection currently speaks: HTTP, then perhaps WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

Job = Callable[[], Awaitable[None]]
"""Work of a connection that waits."""


class Phase(Protocol):
    """One of them; a connection has one at a time."""

    def receive(self, data: bytes) -> None:
        """Take bytes from the peer."""

    def lost(self, code: int, reason: str) -> list[Job]:
        """The connection has ended; release what needs no waiting, return what has to be done."""

    def shut_down(self) -> None:
        """The node stops: say so to the peer, or just go."""
