"""The gateway's queue: so many clients are placed at a time, those that come back first."""

from __future__ import annotations

from collections import deque

import trio

from wsmesh.errors import WsmeshError


class QueueFull(WsmeshError):
    """Too many clients wait."""


class Turnstile:
    """Lets `at_once` through at a time; the others wait, those that return ahead of new ones.

    :param room: that may wait; new ones may take half of it, so that clients of a lost node find
        room while others come.
    """

    def __init__(self, at_once: int, room: int) -> None:
        self._free = at_once
        self._room = room
        self._returning: deque[trio.Event] = deque()
        self._new: deque[trio.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._returning) + len(self._new)

    def enter_at_once(self) -> bool:
        """Take a place if one is free; return whether one was."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def enter(self, *, is_returning: bool) -> None:
        """Wait for a place, which `leave` gives back.

        :raises QueueFull: at once, instead of waiting.
        """
        if not self.enter_at_once():
            await self._wait(is_returning=is_returning)

    async def _wait(self, *, is_returning: bool) -> None:
        room = self._room if is_returning else self._room // 2
        if self.waiting >= room:
            raise QueueFull("too many clients wait")
        queue = self._returning if is_returning else self._new
        turn = trio.Event()
        queue.append(turn)
        try:
            await turn.wait()
        except trio.Cancelled:
            if turn.is_set():
                self.leave()
            else:
                queue.remove(turn)
            raise

    def leave(self) -> None:
        """Let the next one through."""
        queue = self._returning or self._new
        if queue:
            queue.popleft().set()
        else:
            self._free += 1
