"""A bell: any number of rings wake whoever waits, once."""

from __future__ import annotations

import trio
from attrs import define, field


@define(eq=False)
class Bell:
    """Rings are remembered until somebody waits, and not counted."""

    _rung: trio.Event = field(factory=trio.Event)

    def ring(self) -> None:
        """Wake who waits, or let the next one pass at once."""
        self._rung.set()

    async def wait(self) -> None:
        """Wait for a ring and forget it; made for one waiter."""
        await self._rung.wait()
        self._rung = trio.Event()
