"""The node's metrics; the only module that knows Prometheus.

Hot code adds to plain integers and `Histogram`s; a collector turns them into samples when somebody
asks. Gauges are pulled from the parts that own them, so they cannot drift. Label values come from
fixed sets: what is not in them counts as "other".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from attrs import fields, frozen
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

from wsmesh.figures import Kind, gauge
from wsmesh.histogram import Histogram
from wsmesh.protocol.codes import name_of
from wsmesh.protocol.messages import Command

log = structlog.get_logger("wsmesh.metrics")

SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
RECEIVERS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000)

UNKNOWN = "unknown"
"""The method of a command that names none we know."""

METHODS = (*(name for name in Command.__struct_fields__ if name != "id"), UNKNOWN)

REASONS = 64
"""Distinct label values kept of each labelled counter; further ones are counted as "other"."""


@frozen(kw_only=True)
class NodeStatistics:
    """A node's gauges at one moment."""

    connections: int = gauge("Open WebSocket connections.")
    authenticated: int = gauge("Connections whose connect command succeeded.")
    sockets: int = gauge("Open client sockets, HTTP included.")
    users: int = gauge("Distinct connected users.")
    subscriptions: int = gauge("Subscriptions of all connections.")
    channels: int = gauge("Channels with subscribers on this node.")
    queue_bytes: int = gauge("Bytes waiting for slow clients.")
    slow_connections: int = gauge("Connections whose socket takes nothing at the moment.")
    pending_fanouts: int = gauge("Channels with a publication still on its way to subscribers.")
    return_window_seconds: float = gauge(
        "What the other nodes need to take all clients of this one."
    )


class Labelled:
    """Counters by label values, bounded in number."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def add(self, *labels: str) -> None:
        """Count one event."""
        if labels not in self.counts and len(self.counts) >= REASONS:
            labels = ("other",) * len(labels)
        self.counts[labels] += 1


class Metrics:
    """What a node counts; every node has its own.

    :param version: of the software, for wsmesh_build_info.
    """

    def __init__(self, *, version: str) -> None:
        self._version = version
        self.messages_in = 0
        self.messages_out = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.commands = dict.fromkeys(METHODS, 0)
        self.handshakes = 0
        self.barrier_hits = 0
        self.publications_dropped = 0
        self.last_loop_lag = 0.0
        self.log_lines_dropped: Callable[[], int] = int
        self._closes = Labelled()
        self._rejections = Labelled()
        self._limits = Labelled()
        self._errors = Labelled()
        self._sent_away = Labelled()
        self.fan_out = Histogram(RECEIVERS)
        self.delivery_seconds = Histogram(SECONDS)
        self.connect_seconds = Histogram(SECONDS)
        self.command_wait_seconds = Histogram(SECONDS)
        self.command_seconds = Histogram(SECONDS)
        self.hook_seconds = Histogram(SECONDS)
        self.loop_lag_seconds = Histogram(SECONDS)
        self.gc_pause_seconds = Histogram(SECONDS)
        self._observed: list[tuple[str, Callable[[], Any]]] = []
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(_NodeCollector(self))

    # -- counting -------------------------------------------------------------------------------

    def fanned_out(self, receivers: Sequence[int], seconds: float) -> None:
        """Publications reached these numbers of receivers, `seconds` after they were accepted."""
        for number in receivers:
            self.fan_out.observe(number)
            self.messages_out += number
        self.delivery_seconds.observe_many(seconds, len(receivers))

    def timer_failed(self, fault: Exception) -> None:
        """A timer of a connection raised: a fault inside wsmesh."""
        self.barrier_hits += 1
        log.error("timer.failed", exc_info=fault)

    def count_sent(self, size: int) -> None:
        """Bytes went out."""
        self.bytes_out += size

    def connection_closed(self, code: int) -> None:
        """A WebSocket connection ended."""
        self._closes.add(str(code), name_of(code))

    def handshake_rejected(self, status: int, reason: str) -> None:
        """A request was refused before it became a connection."""
        self._rejections.add(str(status), reason)

    def limit_hit(self, limit: str) -> None:
        """A limit of the configuration was reached."""
        self._limits.add(limit)

    def count_sent_away(self, reason: str, *, is_closed: bool) -> None:
        """A client was told to go elsewhere, or was closed where it could not be told."""
        self._sent_away.add(reason, "closed" if is_closed else "moved")

    def command_error(self, code: int) -> None:
        """A command was answered with an error."""
        self._errors.add(str(code))

    def publication_dropped(self) -> None:
        """A slow consumer's publication was dropped by its channel's policy."""
        self.publications_dropped += 1

    def observe(self, figures: Callable[[], Any], *, prefix: str = "") -> None:
        """Name a function that gives figures, as `wsmesh.figures` declares them.

        :param prefix: between `wsmesh_` and their names.
        """
        self._observed.append((prefix, figures))

    # -- exposing -------------------------------------------------------------------------------

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their content type, in the format that `accept` prefers."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def families(self) -> Iterable[Metric]:
        """Yield everything this module counts."""
        yield InfoMetricFamily("wsmesh_build", "Version of wsmesh.", {"version": self._version})
        for prefix, read in self._observed:
            figures = read()
            for each in fields(type(figures)):
                yield _declared(prefix + each.name, each.metadata, getattr(figures, each.name))
        yield from self._counters()
        yield _histogram("fanout_receivers", "Receivers of a publication.", self.fan_out)
        for name, text, seconds in (
            ("delivery_seconds", "From a publication's acceptance to its last send on this node.",
             self.delivery_seconds),
            ("connect_seconds", "From accepting a socket to the connect reply.",
             self.connect_seconds),
            ("client_command_wait_seconds",
             "From reading a command that needed a task to its beginning, behind earlier ones.",
             self.command_wait_seconds),
            ("client_command_seconds", "From reading a command that needed a task to its end.",
             self.command_seconds),
            ("hook_seconds", "Duration of application hooks.", self.hook_seconds),
            ("loop_lag_seconds", "How late the event loop woke a 100 ms ticker.",
             self.loop_lag_seconds),
            ("gc_pause_seconds", "Pauses by the garbage collector.", self.gc_pause_seconds),
        ):
            yield _histogram(name, text, seconds)

    def _counters(self) -> Iterable[Metric]:
        commands = CounterMetricFamily(
            "wsmesh_client_commands", "Commands of clients.", labels=("method",)
        )
        for method, count in self.commands.items():
            commands.add_metric((method,), count)
        yield commands
        for name, text, value in (
            ("messages_in", "Messages from clients.", self.messages_in),
            ("messages_out", "Messages to clients.", self.messages_out),
            ("bytes_in", "Bytes from clients.", self.bytes_in),
            ("bytes_out", "Bytes to clients.", self.bytes_out),
            ("handshakes", "Completed WebSocket handshakes.", self.handshakes),
            ("connection_faults", "Connections that ended by a fault inside wsmesh.",
             self.barrier_hits),
            ("publications_dropped", "Publications dropped for slow consumers by policy.",
             self.publications_dropped),
            ("log_lines_dropped", "Log lines that the sink did not take.",
             self.log_lines_dropped()),
        ):
            yield CounterMetricFamily(f"wsmesh_{name}", text, value)
        for name, text, labels, labelled in (
            ("connections_closed", "Connections that ended.", ("code", "reason"), self._closes),
            ("handshakes_rejected", "Requests refused.", ("status", "reason"), self._rejections),
            ("limit_hits", "Limits of the configuration reached.", ("limit",), self._limits),
            ("client_command_errors", "Commands answered with an error.", ("code",), self._errors),
            ("clients_sent_away", "Clients told to go elsewhere, or closed so that they do.",
             ("reason", "how"), self._sent_away),
        ):
            family = CounterMetricFamily(f"wsmesh_{name}", text, labels=labels)
            for values, count in sorted(labelled.counts.items()):
                family.add_metric(values, count)
            yield family


def _declared(name: str, declaration: Mapping[str, Any], value: Any) -> Metric:
    text, label = declaration["text"], declaration["label"]
    if declaration["kind"] is Kind.HISTOGRAM:
        return _histogram(name, text, value)
    kind = CounterMetricFamily if declaration["kind"] is Kind.COUNTER else GaugeMetricFamily
    if not label:
        return kind(f"wsmesh_{name}", text, value)
    family = kind(f"wsmesh_{name}", text, labels=(label,))
    for each, number in value.items():
        family.add_metric((each,), number)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(
        f"wsmesh_{name}", text, buckets=histogram.cumulative(), sum_value=histogram.total
    )


class _NodeCollector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics.families()
