"""Metrics: what is counted is exposed, with bounded labels."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping

import pytest
import trio
from attrs import field, fields, frozen
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from wsmesh.figures import (
    ClusterFigures,
    Kind,
    RedisFigures,
    SessionFigures,
    StoreFigures,
    counter,
    declaration,
    gauge,
)
from wsmesh.histogram import Histogram
from wsmesh.metrics import REASONS, Metrics, NodeStatistics
from wsmesh.runtime import gc_pauses, tune_gc, watch_loop_lag


class Circle:
    itself: Circle


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.exposition("")[0].decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_gauges_and_histograms_are_exposed() -> None:
    metrics = Metrics(version="1.2")
    metrics.messages_in += 3
    metrics.connection_closed(3008)
    metrics.connection_closed(4321)
    metrics.limit_hit("message_size")
    metrics.fanned_out([1, 5000], 0.004)
    facts = dict.fromkeys(
        ["connections", "authenticated", "sockets", "users", "subscriptions", "channels",
         "queue_bytes", "slow_connections", "pending_fanouts", "return_window_seconds"], 7,
    )
    metrics.observe(lambda: NodeStatistics(**facts))
    found = samples(metrics)
    assert found["wsmesh_messages_in_total", ()] == 3
    assert found["wsmesh_messages_out_total", ()] == 5001
    closed = "wsmesh_connections_closed_total"
    assert found[closed, (("code", "3008"), ("reason", "slow"))] == 1
    assert found[closed, (("code", "4321"), ("reason", "application"))] == 1
    assert found["wsmesh_limit_hits_total", (("limit", "message_size"),)] == 1
    assert found["wsmesh_delivery_seconds_bucket", (("le", "0.005"),)] == 2
    assert found["wsmesh_delivery_seconds_bucket", (("le", "0.0025"),)] == 0
    assert found["wsmesh_fanout_receivers_sum", ()] == 5001
    assert found["wsmesh_connections", ()] == 7
    assert found["wsmesh_build_info", (("version", "1.2"),)] == 1
    assert found["process_resident_memory_bytes", ()] > 0


@frozen
class Shown:
    size: int = gauge("How much.")
    seen: int = counter("How many.")
    kinds: Mapping[str, int] = gauge("By kind.", label="kind")
    ends: Mapping[str, int] = counter("By end.", label="end")
    times: Histogram = field(metadata=declaration(Kind.HISTOGRAM, "How long."))


def test_figures_are_exposed_as_what_they_are_declared_and_read_at_each_look() -> None:
    metrics = Metrics(version="1")
    times = Histogram([0.5])
    sizes = iter([3, 4])
    metrics.observe(
        lambda: Shown(next(sizes), 7, {"red": 0, "blue": 2}, {"good": 5}, times), prefix="thing_"
    )
    times.observe(0.25)
    first, second = samples(metrics), samples(metrics)

    text = Metrics(version="1").exposition("")[0].decode()
    assert "thing" not in text
    assert (first["wsmesh_thing_size", ()], second["wsmesh_thing_size", ()]) == (3, 4)
    assert first["wsmesh_thing_seen_total", ()] == 7
    assert first["wsmesh_thing_kinds", (("kind", "red"),)] == 0
    assert first["wsmesh_thing_kinds", (("kind", "blue"),)] == 2
    assert first["wsmesh_thing_ends_total", (("end", "good"),)] == 5
    assert first["wsmesh_thing_times_bucket", (("le", "0.5"),)] == 1
    assert first["wsmesh_thing_times_sum", ()] == 0.25


@pytest.mark.parametrize(
    "figures", [NodeStatistics, RedisFigures, StoreFigures, ClusterFigures, SessionFigures]
)
def test_every_figure_has_a_kind_and_a_sentence(figures: type) -> None:
    for each in fields(figures):
        assert isinstance(each.metadata["kind"], Kind), each.name
        assert len(each.metadata["text"].split()) > 1, each.name


def test_label_values_cannot_grow_without_bound() -> None:
    metrics = Metrics(version="1")
    for number in range(10 * REASONS):
        metrics.handshake_rejected(400, f"reason {number}")
    found = [value for (name, _), value in samples(metrics).items() if "rejected_total" in name]
    assert len(found) == REASONS + 1
    assert sum(found) == 10 * REASONS


@given(st.lists(st.floats(0, 100)))
def test_a_histogram_counts_every_value_in_the_first_bucket_that_holds_it(
    values: list[float],
) -> None:
    histogram = Histogram([0.5, 1, 10])
    for value in values:
        histogram.observe(value)
    expected = [sum(value <= bound for value in values) for bound in (0.5, 1, 10)]
    assert [count for _, count in histogram.cumulative()] == [*expected, len(values)]
    assert histogram.count == len(values)


async def test_a_loop_that_keeps_time_has_no_lag(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    metrics = Metrics(version="1")
    nursery.start_soon(watch_loop_lag, metrics, lambda lag: None)
    await trio.sleep(10.05)
    assert metrics.loop_lag_seconds.count == 100
    assert metrics.last_loop_lag < 1e-6


def test_pauses_of_the_collector_are_measured_only_inside_the_block() -> None:
    metrics = Metrics(version="1")
    with gc_pauses(metrics):
        gc.collect()
    gc.collect()
    assert metrics.gc_pause_seconds.count == 1


def test_tuning_takes_what_exists_out_of_collections_and_still_finds_circles() -> None:
    thresholds = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        tune_gc()
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold()[0] > 700
        circle = Circle()
        circle.itself = circle
        forgotten = weakref.ref(circle)
        del circle
        gc.collect()
        assert forgotten() is None
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
