"""Waiting until servers agree: blocking, for a thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import redis

POLL = 0.02


def until(condition: Callable[[], object], what: str, *, within: float) -> None:
    """Block until `condition` is true; a server that cannot answer at the moment is not.

    :param within: seconds until it fails.
    """
    deadline = time.monotonic() + within
    last: object = None
    while time.monotonic() < deadline:
        try:
            if last := condition():
                return
        except redis.RedisError as error:
            last = error
        time.sleep(POLL)
    raise AssertionError(f"{what}: not within {within} s, last {last!r}")
