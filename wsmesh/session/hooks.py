"""Calls application hooks: with a deadline, and so that their faults stay with one client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import trio

from wsmesh.app import App
from wsmesh.errors import Disconnect, HookFailure, ReplyError
from wsmesh.metrics import Metrics

_C = TypeVar("_C")
_R = TypeVar("_R")

log = structlog.get_logger("wsmesh.hooks")


class Hooks:
    """The application's hooks (`[app]`).

    :param timeout: seconds a hook may take.
    """

    def __init__(self, app: App, timeout: float, metrics: Metrics) -> None:
        self.app = app
        self._timeout = timeout
        self._metrics = metrics

    async def call(self, name: str, hook: Callable[[_C], Awaitable[_R]], context: _C) -> _R:
        """Call a hook.

        :raises ReplyError, Disconnect: what the hook decided.
        :raises HookFailure: it raised something else, or took too long.
        """
        began = trio.current_time()
        try:
            with trio.fail_after(self._timeout):
                return await hook(context)
        except (ReplyError, Disconnect):
            raise
        except trio.TooSlowError as error:
            log.warning("hook.overran", hook=name, seconds=self._timeout)
            raise HookFailure(f"{name} took longer than {self._timeout:g} s") from error
        except Exception as error:
            log.exception("hook.failed", hook=name)
            raise HookFailure(f"{name} raised {type(error).__name__}") from error
        finally:
            self._metrics.hook_seconds.observe(trio.current_time() - began)
