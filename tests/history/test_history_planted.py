"""Nodes with a bug that was planted in them are caught by a real run.

The bug is written into the hooks of the node's application, which a node imports at its start.
"""

from __future__ import annotations

import pytest
import trio

from tests.e2e.hop import open_hop
from tests.history.client import recorded_load
from tests.node_process import API_KEY, OPEN_NODE, running_node

HOOKS = """
from attrs import evolve
from wsmesh.app import App
from wsmesh.store.interface import Position, Published, Recovery
from wsmesh.store.memory import MemoryStore
from wsmesh.store.stream import MemoryStream

app = App()
publish, recover = MemoryStore.publish_nowait, MemoryStream.recover
count = 0
"""

RECOVERS_ALL_BUT_ONE = """
def partial(self, since, limit):
    found = recover(self, since, limit)
    return Recovery(found.recovered, found.top, found.publications[1:])

MemoryStream.recover = partial
"""

CLAIMS_TO_RECOVER = """
def nothing(self, since, limit):
    return Recovery(True, Position(self.epoch, self.top), ())

MemoryStream.recover = nothing
"""

ACKNOWLEDGES_BEFORE_STORING = """
def drop_one_in_ten(self, channel, publication, options, settle):
    global count
    count += 1
    if count % 10:
        return publish(self, channel, publication, options, settle)
    stream = self._streams.get(channel)
    if stream is None:
        return publish(self, channel, publication, options, settle)
    settle(Published(Position(stream.epoch, stream.top + 1)))

MemoryStore.publish_nowait = drop_one_in_ten
"""

FORGETS_KEYS = """
def twice(self, channel, publication, options, settle):
    publish(self, channel, publication, options, settle)
    publish(self, channel, publication, evolve(options, idempotency_key=""), lambda _: None)

MemoryStore.publish_nowait = twice
"""

CHANGES_BODIES = """
def changed(self, channel, publication, options, settle):
    publication.data = type(publication.data)(bytes(publication.data).replace(b"a", b"b"))
    publish(self, channel, publication, options, settle)

MemoryStore.publish_nowait = changed
"""

NO_BUG = ""


@pytest.fixture(autouse=True)
async def nothing_hangs():
    with trio.fail_after(60):
        yield


@pytest.mark.parametrize(("bug", "caught_by"), [
    (NO_BUG, set()),
    (RECOVERS_ALL_BUT_ONE, {"I12"}),
    (CLAIMS_TO_RECOVER, {"I12"}),
    (ACKNOWLEDGES_BEFORE_STORING, {"I2"}),
    (FORGETS_KEYS, {"I11"}),
    (CHANGES_BODIES, {"I1"}),
], ids=[
    "none", "partial recovery", "recovery claimed", "acknowledged before stored", "keys forgotten",
    "bodies changed",
])
async def test_a_planted_bug_is_caught(bug, caught_by, tmp_path, tmp_path_factory):
    home = tmp_path_factory.mktemp("node")
    (home / "hooks.py").write_text(HOOKS + bug)
    toml = OPEN_NODE + '\n[app]\nmodule = "hooks:app"\n'
    with running_node(home, toml) as node, open_hop(node.url) as hop:
        async with recorded_load(
            [hop.url], channels=["a"], publishers=2, subscribers=2, directory=tmp_path,
            api_key=API_KEY, api_urls=[node.http_url], rate=200, settle_within=1.0,
        ) as load:
            await load.wait_acknowledged(30)
            async with load.fault("cut", outage=True):
                hop.cut()
                await load.wait_acknowledged(10)
                hop.mend()
            await load.wait_acknowledged(30)
    verdict = load.verdict(demand={"S1"} if not bug else ())
    assert caught_by <= verdict.counts.keys(), verdict
    assert verdict.outcome == ("invalid" if bug else "valid"), verdict
