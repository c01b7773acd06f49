"""What all connections of a node share."""

from __future__ import annotations

import trio
from attrs import Factory, define

from wsmesh.channels.channel import Sink
from wsmesh.channels.fanout import Fanout
from wsmesh.config.sections import CompressionSection, LimitsSection
from wsmesh.ingress.backlog import StalledFrames
from wsmesh.ingress.pump import Pump
from wsmesh.metrics import Metrics
from wsmesh.security.admission import Admission
from wsmesh.timers import Timers
from wsmesh.wire.deflate import Deflater


@define(eq=False, kw_only=True)
class Doorway:
    """The pump and what goes with it.

    :ivar connections: open sockets, HTTP ones included.
    :ivar stalled: connections whose socket takes nothing, with what they still have to get.
    """

    pump: Pump
    fanout: Fanout
    timers: Timers
    metrics: Metrics
    limits: LimitsSection
    compression: CompressionSection
    deflater: Deflater
    admission: Admission
    connections: int = 0
    stalled: dict[Sink, StalledFrames] = Factory(dict)
    _departure: trio.Event = Factory(trio.Event)

    def departed(self) -> None:
        """A connection is gone."""
        self.connections -= 1
        self._departure.set()

    async def wait_departure(self) -> None:
        """Return after the next connection that goes."""
        self._departure = trio.Event()
        await self._departure.wait()

    def authenticated(self, address: str, seconds: float) -> None:
        """A client's connect command succeeded, `seconds` after its socket was accepted."""
        self.admission.authenticated(address)
        self.metrics.connect_seconds.observe(seconds)

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting for slow clients."""
        return sum(frames.size for frames in self.stalled.values())
