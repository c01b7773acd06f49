"""Running a node in this process: what signals do to it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress

import structlog
import trio

from wsmesh.config.sections import Config
from wsmesh.node import open_node
from wsmesh.serving import Node

log = structlog.get_logger("wsmesh.node")


async def run(
    config: Config,
    *,
    started: Callable[[Node], None] = lambda node: None,
    read: Callable[[], Config] | None = None,
) -> None:
    """Run a node until SIGTERM or SIGINT, then drain it; a second signal ends it at once.

    SIGHUP reads configuration and certificates again and reopens the log file.

    :param started: called once the node accepts connections.
    :param read: gives the configuration as it is now, in a thread; None: always `config`.
    :raises ConfigError: something the configuration names cannot be used.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with open_node(config) as node, trio.open_nursery() as nursery:
            hang_up, hangups = trio.open_memory_channel[None](1)
            nursery.start_soon(_reload, node, read or (lambda: config), hangups)
            nursery.start_soon(_stop_when_asked, node, nursery.cancel_scope.cancel)
            started(node)
            stopping = False
            async for number in signals:
                if number == signal.SIGHUP:
                    with suppress(trio.WouldBlock):  # the next reload sees what this one would
                        hang_up.send_nowait(None)
                elif stopping:
                    break
                else:
                    stopping = True
                    node.drain_asked.set()
            nursery.cancel_scope.cancel()
    log.info("node.stopped", name=node.name)


async def _reload(
    node: Node, read: Callable[[], Config], hangups: trio.MemoryReceiveChannel[None]
) -> None:
    async for _ in hangups:
        await node.reload(read)


async def _stop_when_asked(node: Node, done: Callable[[], None]) -> None:
    await node.drain_asked.wait()
    await node.drain(node.config.node.shutdown_timeout)
    done()
