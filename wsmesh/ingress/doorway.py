"""What all connections of a node share."""

from __future__ import annotations

import trio
from attrs import Factory, define, field

from wsmesh.channels.channel import Sink
from wsmesh.channels.fanout import Fanout
from wsmesh.config.sections import CompressionSection, LimitsSection
from wsmesh.ingress.backlog import Budget, StalledFrames
from wsmesh.ingress.pump import Pump
from wsmesh.metrics import Metrics
from wsmesh.security.admission import Admission
from wsmesh.security.rate import Rate
from wsmesh.timers import Timers
from wsmesh.wire.deflate import Deflater


@define(eq=False, kw_only=True)
class Doorway:
    """The pump and what goes with it.

    :ivar limits: may be replaced by others at any time.
    :ivar connections: open sockets, HTTP ones included.
    :ivar stalled: connections whose socket takes nothing, with what they still have to get.
    :ivar budget: what they may hold together.
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
    budget: Budget = field(init=False)
    _byte_rate: Rate | None = field(init=False)
    _rated: LimitsSection = field(init=False)
    _departure: trio.Event = Factory(trio.Event)

    def __attrs_post_init__(self) -> None:
        self.budget = Budget(lambda: self.limits.send_queue_total)
        self._rate_bytes()

    def _rate_bytes(self) -> None:
        self._rated = limits = self.limits
        per_second = limits.bytes_per_second
        # One more: a client is paused after the last event of a burst, and the last byte of a
        # message that fits is no reason to.
        self._byte_rate = None if per_second is None else Rate(per_second, limits.bytes_at_once + 1)

    @property
    def byte_rate(self) -> Rate | None:
        """Bytes per second that a new connection may send; None when it is unlimited."""
        if self._rated is not self.limits:
            self._rate_bytes()
        return self._byte_rate

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
