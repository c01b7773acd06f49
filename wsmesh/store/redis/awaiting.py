"""A task that waits for one reply, as cheaply as Trio allows: no scope, no event."""

from __future__ import annotations

from typing import Any

import trio

from wsmesh.store.redis.pipeline import Operation, discard

_WAITING = object()


class Awaited:
    """The `settle` of an operation whose caller is a task; `wait` gives the caller its reply."""

    __slots__ = ("_operation", "_outcome", "_task")

    _operation: Operation

    def __init__(self) -> None:
        self._outcome: Any = _WAITING
        self._task: trio.lowlevel.Task | None = None

    def __call__(self, outcome: Any) -> None:
        """Keep the outcome and wake the task."""
        self._outcome = outcome
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def wait(self, operation: Operation) -> Any:
        """Return the reply, or raise the exception that it is; a checkpoint.

        Cancelled, it gives the operation up: not yet written it never is, and otherwise its reply
        is thrown away.
        """
        if self._outcome is _WAITING:
            self._task = trio.lowlevel.current_task()
            self._operation = operation
            await trio.lowlevel.wait_task_rescheduled(self._forget)
        else:
            await trio.lowlevel.checkpoint()
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def _forget(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        self._operation.settle = discard
        return trio.lowlevel.Abort.SUCCEEDED
