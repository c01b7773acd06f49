"""The gateway's own metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import frozen
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from wsmesh.histogram import Histogram
from wsmesh.metrics import SECONDS, Labelled


@frozen(kw_only=True)
class GatewayStatistics:
    """The gateway's gauges at one moment.

    :param arriving: clients whose request is not read or not placed yet.
    :param queued: of these, waiting for their turn.
    :param relayed: connections whose bytes pass through.
    :param relayed_bytes: that passed through since the start.
    :param accepting: members that get new clients.
    :param members: known ones.
    """

    arriving: int
    queued: int
    relayed: int
    relayed_bytes: int
    accepting: int
    members: int


class GatewayMetrics(Collector):
    """What a gateway counts.

    :ivar placed: by way: handover or relay.
    :ivar refused: by reason, requests that no node got.
    :ivar failed: by reason, attempts that a node did not take.
    :ivar placing_seconds: from the whole request head to the node's taking the client.
    """

    def __init__(self, version: str, statistics: Callable[[], GatewayStatistics]) -> None:
        self._version = version
        self._statistics = statistics
        self.accepted = 0
        self.placed = Labelled()
        self.refused = Labelled()
        self.failed = Labelled()
        self.placing_seconds = Histogram(SECONDS)
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, in the format that `accept` prefers."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterable[Metric]:
        """Yield everything that is counted."""
        now = self._statistics()
        yield InfoMetricFamily("wsmesh_build", "Version of wsmesh.", {"version": self._version})
        for name, text, value in (
            ("arriving", "Clients whose request is not read or not placed yet.", now.arriving),
            ("queued", "Clients that wait for their turn to be placed.", now.queued),
            ("relayed_connections", "Connections whose bytes pass through.", now.relayed),
            ("members", "Nodes that the gateway knows.", now.members),
            ("accepting_members", "Nodes that get new clients.", now.accepting),
        ):
            yield GaugeMetricFamily(f"wsmesh_gateway_{name}", text, value)
        for name, text, value in (
            ("accepted", "Sockets accepted.", self.accepted),
            ("relayed_bytes", "Bytes that passed through, both ways.", now.relayed_bytes),
        ):
            yield CounterMetricFamily(f"wsmesh_gateway_{name}", text, value)
        for name, text, label, counts in (
            ("placed", "Clients that a node took.", "way", self.placed),
            ("refused", "Requests that the gateway refused.", "reason", self.refused),
            ("failed_attempts", "Attempts that a node did not take.", "reason", self.failed),
        ):
            family = CounterMetricFamily(f"wsmesh_gateway_{name}", text, labels=(label,))
            for values, count in sorted(counts.counts.items()):
                family.add_metric(values, count)
            yield family
        histogram = self.placing_seconds
        yield HistogramMetricFamily(
            "wsmesh_gateway_placing_seconds",
            "From the whole request head to the node's taking the client.",
            buckets=histogram.cumulative(), sum_value=histogram.total,
        )
