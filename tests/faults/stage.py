"""Three nodes under load, for tests that break something and then ask the record."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from types import MappingProxyType

import trio
from attrs import define

from tests.cluster_process import running_cluster
from tests.history.client import Load, recorded_load
from tests.node_process import API_KEY, NodeProcess

BEFORE, AFTER = 2.0, 3.0
CHANNELS = ("a", "b", "c", "d")


@define(eq=False)
class Stage:
    """Three nodes under load, and what they share."""

    nodes: list[NodeProcess]
    load: Load

    def no_node_crashed(self) -> bool:
        return not any("Traceback" in node.said() for node in self.nodes)


@asynccontextmanager
async def in_threads(nodes: AbstractContextManager[list[NodeProcess]]) -> AsyncGenerator[
    list[NodeProcess]
]:
    """Start and end nodes in threads: a proxy of this loop may stand before their Redis."""
    opened = await trio.to_thread.run_sync(nodes.__enter__)
    try:
        yield opened
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(nodes.__exit__, None, None, None)


@asynccontextmanager
async def under_load(
    directory: Path, url: str, own: Mapping[int, Mapping[str, str]] = MappingProxyType({})
) -> AsyncGenerator[Stage]:
    """Publishers with idempotency keys and recovering subscribers, on all nodes."""
    record = directory / "record"
    record.mkdir()
    async with in_threads(running_cluster(directory, url, own=own)) as nodes:
        async with recorded_load(
            [node.url for node in nodes], channels=CHANNELS, publishers=3, subscribers=6,
            directory=record, api_key=API_KEY, api_urls=[node.http_url for node in nodes], rate=40,
        ) as load:
            await trio.sleep(BEFORE)
            stage = Stage(nodes, load)
            yield stage
            await trio.sleep(AFTER)
        assert stage.no_node_crashed()
        assert load.missing == []


async def clients_of(node: NodeProcess) -> int:
    """Return how many clients a node serves itself."""
    _, metrics = await trio.to_thread.run_sync(node.get, "/metrics")
    (line,) = [each for each in metrics.splitlines() if each.startswith("wsmesh_authenticated")]
    return int(float(line.split()[-1]))
