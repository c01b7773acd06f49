"""File descriptors: how many clients the process can hold."""

from __future__ import annotations

import resource

import structlog

from wsmesh.config.sections import Config

RESERVED_DESCRIPTORS = 512
"""Descriptors kept for logs, the store, HTTP and everything that is not a client."""

log = structlog.get_logger("wsmesh.descriptors")


def room_for_clients(config: Config) -> int:
    """Return how many sockets the process can hold besides its own descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.node.max_connections + 2 * RESERVED_DESCRIPTORS
    if soft < wanted and (hard == resource.RLIM_INFINITY or soft < hard):
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = soft - RESERVED_DESCRIPTORS
    if room < config.node.max_connections:
        log.warning(
            "node.few_descriptors", room=room, max_connections=config.node.max_connections,
            advice="raise the limit of open files (ulimit -n) or lower node.max_connections",
        )
    return max(16, room)
