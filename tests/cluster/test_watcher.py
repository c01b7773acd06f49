"""A watcher outlives nothing: what it is told after its end leads nowhere."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import trio
import trio.testing

from wsmesh.cluster.actions import Timing
from wsmesh.cluster.nodes import Identity
from wsmesh.cluster.registry import NodeRegistry
from wsmesh.cluster.terms import Terms
from wsmesh.cluster.verdicts import StoreLoss
from wsmesh.cluster.watcher import Watcher

TERMS = Terms(
    beat=5.0, lease=15.0, accusers=1, on_store_loss=StoreLoss.KEEP_SERVING, timing=Timing(),
    secret=b"",
)


async def test_links_that_are_lost_after_the_end_accuse_nobody() -> None:
    calls: list[Any] = []
    watcher = Watcher(
        own=Identity("a", 1), terms=TERMS, mesh=lambda: cast("Any", SimpleNamespace(peers=())),
        # Nothing of a registry is reached.
        registry=cast("NodeRegistry", None),
        suspected=calls.append, cleared=calls.append, buried=calls.append,
        outdated=lambda: calls.append(None),
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(watcher.run)
        nursery.cancel_scope.cancel()
    watcher.disowned(Identity("b", 1))
    await trio.testing.wait_all_tasks_blocked()
    assert calls == []
