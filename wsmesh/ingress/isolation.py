"""The barrier around each connection: whatever goes wrong in one ends there."""

from __future__ import annotations

import structlog

from wsmesh.ingress.connection import Connection
from wsmesh.ingress.doorway import Doorway

log = structlog.get_logger("wsmesh.connection")


async def isolated(connection: Connection, doorway: Doorway, begun: bytes = b"") -> None:
    """Serve a connection; whatever it raises ends here. The only broad `except` for connections."""
    try:
        await connection.serve(begun)
    except* Exception as group:
        doorway.metrics.barrier_hits += 1
        log.error("connection.crashed", peer=connection.address, exc_info=group)
