"""Metrics of real nodes with a real Redis: what a cluster shows, and a node alone does not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from attrs import fields
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster_process import await_that, running_cluster
from tests.node_process import NodeProcess, running_node
from tests.servers.standalone import RedisServer, running_redis
from wsmesh.client import open_client
from wsmesh.client.options import Dial
from wsmesh.figures import ClusterFigures, RedisFigures, SessionFigures, StoreFigures

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
SHARED = {
    "wsmesh_redis_": RedisFigures, "wsmesh_store_": StoreFigures,
    "wsmesh_cluster_": ClusterFigures, "wsmesh_": SessionFigures,
}
ONLY_WITH_OTHERS = {
    prefix + each.name for prefix, figures in SHARED.items() for each in fields(figures)
}


class Samples(dict[str, float]):
    """Values of one look at /metrics, as `name` or `name{label}`."""

    def __init__(self, node: NodeProcess) -> None:
        status, text = node.get("/metrics")
        assert status == 200
        self.families = list(text_string_to_metric_families(text))
        for family in self.families:
            for sample in family.samples:
                label = ",".join(sample.labels.values())
                self[f"{sample.name}{{{label}}}" if label else sample.name] = sample.value


@pytest.fixture
def pair(tmp_path) -> Iterator[tuple[RedisServer, list[NodeProcess]]]:
    with running_redis() as server, running_cluster(tmp_path, server.url, 2) as nodes:
        yield server, nodes


def await_sample(node: NodeProcess, name: str, wanted: float) -> float:
    return await_that(lambda: Samples(node)[name], lambda value: value == wanted)


async def test_members_show_their_redis_store_cluster_and_sessions(pair) -> None:
    _, nodes = pair
    publisher, hearer = nodes
    before = Samples(publisher)
    async with (
        open_client(publisher.url, resume=False) as writer,
        open_client(hearer.url) as reader,
        reader.subscribe("news") as subscription,
    ):
        for number in range(100):
            await writer.publish("news", number)
        for _ in range(100):
            await anext(subscription)
        heard = Samples(hearer)
    after = Samples(publisher)

    assert heard["wsmesh_store_delivered_total"] == 100
    assert heard["wsmesh_sessions"] == 1
    assert heard["wsmesh_redis_channels"] == after["wsmesh_redis_channels"] + 1
    for name in ("duplicates", "gaps", "malformed", "quarantined", "rollbacks"):
        assert heard[f"wsmesh_store_{name}_total"] == 0
    for now in (heard, after):
        assert now["wsmesh_redis_masters"] == 1
        assert now["wsmesh_redis_connected"] == now["wsmesh_redis_links"] >= 1
        assert now["wsmesh_redis_channels_missing"] == 0
        assert now["wsmesh_redis_reconnects_total"] == 0
        assert now["wsmesh_redis_breakers_open"] == 0
        assert 0 <= now["wsmesh_store_canary_age_seconds"] < 3
        assert 0 < now["wsmesh_store_canary_round_trip_seconds"] < 1
        assert now["wsmesh_cluster_members{alive}"] == 2
        assert now["wsmesh_cluster_members{suspect}"] == 0
        assert now["wsmesh_cluster_links"] == 1
        assert now["wsmesh_cluster_duty{serve}"] == 1
        assert now["wsmesh_cluster_duty{fence}"] == 0
        assert 0 <= now["wsmesh_cluster_lease_age_seconds"] < 3
        assert now["wsmesh_cluster_changes_total{died}"] == 0
    grown = {name: after[name] - before[name] for name in before if name in after}
    assert grown["wsmesh_redis_bytes_out_total"] > 100 * 50
    assert grown["wsmesh_redis_bytes_in_total"] > 100 * 5
    # At least the 100 publishes, one in seventeen measured; a reply takes more than 10 us.
    assert grown["wsmesh_redis_reply_seconds_count"] >= 100 // 17
    mean = grown["wsmesh_redis_reply_seconds_sum"] / grown["wsmesh_redis_reply_seconds_count"]
    assert 1e-5 < mean < 1


def test_a_killed_redis_shows_while_it_is_away_and_in_the_counters_afterwards(pair) -> None:
    server, (node, _) = pair
    server.kill()
    await_sample(node, "wsmesh_redis_connected", 0)
    away = Samples(node)
    assert away["wsmesh_redis_channels_missing"] == away["wsmesh_redis_channels"] >= 1
    assert away["wsmesh_redis_links"] >= 1

    await_that(lambda: Samples(node)["wsmesh_store_canary_age_seconds"], lambda age: age > 1.5)
    await_that(lambda: Samples(node)["wsmesh_cluster_lease_age_seconds"], lambda age: age > 1)
    server.start()

    await_sample(node, "wsmesh_redis_channels_missing", 0)
    back = Samples(node)
    assert back["wsmesh_redis_reconnects_total"] >= 1
    await_that(lambda: Samples(node)["wsmesh_store_canary_age_seconds"], lambda age: age < 1.5)
    await_sample(node, "wsmesh_redis_connected", away["wsmesh_redis_links"])


def first_that_answers(*nodes: NodeProcess) -> Dial:
    async def dial(url: str) -> trio.abc.Stream:
        for node in nodes:
            with suppress(OSError):
                return await trio.open_tcp_stream("127.0.0.1", node.port)
        raise ConnectionRefusedError("none of the nodes is there")

    return dial


async def test_a_death_and_a_takeover_are_counted_by_the_survivor(pair) -> None:
    _, (dying, survivor) = pair
    async with (
        open_client(dying.url, dial=first_that_answers(dying, survivor)) as client,
        client.subscribe("news"),
    ):
        await trio.sleep(0.3)  # what the session has is written behind the client's back
        dying.process.kill()
        await trio.to_thread.run_sync(await_sample, survivor, "wsmesh_sessions", 1)
        await trio.to_thread.run_sync(
            await_sample, survivor, "wsmesh_cluster_changes_total{died}", 1
        )
        now = Samples(survivor)

    assert now["wsmesh_cluster_members{alive}"] == 1
    assert now["wsmesh_cluster_links"] == 0
    assert now["wsmesh_session_resumptions_total{taken_over}"] == 1
    assert now["wsmesh_session_resumptions_total{refused}"] == 0


def test_a_node_alone_shows_nothing_of_a_cluster(tmp_path) -> None:
    with running_node(tmp_path) as node:
        names = {family.name for family in Samples(node).families}

    assert "wsmesh_connections" in names
    assert names.isdisjoint(ONLY_WITH_OTHERS)


def test_the_document_names_every_metric_and_no_other(pair) -> None:
    _, (node, _) = pair
    shown = {
        family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        for family in Samples(node).families
        if family.name.startswith("wsmesh_")
    }
    documented = set()
    for line in DOCUMENT.read_text().splitlines():
        if not line.startswith("| `wsmesh_"):
            continue
        documented |= set(re.findall(r"`(\w+)", line.split("|")[1]))

    assert documented == shown
