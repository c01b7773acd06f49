"""A process that uses the embedded server of a directory until its standard input ends."""

from __future__ import annotations

import sys
from pathlib import Path

import structlog
import trio

from wsmesh.store.redis.embedded import open_embedded


async def use(directory: Path) -> None:
    """Print every line of the log, and the URL once there is one."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stdout))
    async with open_embedded(directory) as url:
        print(f"URL {url}", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


if __name__ == "__main__":
    trio.run(use, Path(sys.argv[1]))
