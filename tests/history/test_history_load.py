"""The recorded load against a real node whose connections are cut, and which is killed."""

from __future__ import annotations

import signal

import pytest
import trio

from tests.e2e.hop import open_hop
from tests.history import events as ev
from tests.history.check import read_log
from tests.history.client import recorded_load
from tests.history.subscriber import node_name
from tests.node_process import API_KEY, OPEN_NODE, running_node

LIVE = """
[[channel.namespaces]]
name = "live"
allow_subscribe_for_client = true
allow_publish_for_client = true
allow_subscribe_for_anonymous = true
allow_publish_for_anonymous = true
"""
"""A namespace without history."""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with running_node(tmp_path_factory.mktemp("node"), OPEN_NODE + LIVE) as node:
        yield node


@pytest.fixture(autouse=True)
async def nothing_hangs():
    with trio.fail_after(60):
        yield


async def test_clients_that_are_cut_off_and_recover_make_a_valid_run(node, tmp_path):
    with open_hop(node.url) as hop:
        async with recorded_load(
            [hop.url], channels=["cut-a", "cut-b"], publishers=2, subscribers=3,
            directory=tmp_path, api_key=API_KEY, api_urls=[node.http_url],
        ) as load:
            await load.wait_acknowledged(50)
            async with load.fault("cut", outage=True):
                hop.cut()
                await load.wait_acknowledged(20)
                hop.mend()
            await load.wait_acknowledged(50)
    verdict = load.verdict(demand={"S1"})
    assert verdict.is_valid, verdict
    assert load.missing == []
    assert verdict.sometimes["S1"] >= 3
    assert verdict.totals["deliveries"] >= 3 * 100
    assert verdict.looked_at["I10"] >= 6


async def test_a_node_that_is_killed_and_forgets_everything_says_so(tmp_path, tmp_path_factory):
    """The restarted node keeps nothing in memory: what was lost is announced, so it is excused."""
    old = tmp_path_factory.mktemp("old")
    new = tmp_path_factory.mktemp("new")
    with running_node(old) as node:
        async with recorded_load(
            [node.url], channels=["a"], publishers=2, subscribers=3, directory=tmp_path,
            api_key=API_KEY,
        ) as load:
            await load.wait_acknowledged(50)
            async with load.fault("kill", node_name(node.url), outage=True):
                await trio.to_thread.run_sync(node.stop, signal.SIGKILL)
                again = running_node(new, words=("--port", str(node.port)))
                await trio.to_thread.run_sync(again.__enter__)
            try:
                await load.wait_acknowledged(50)
            except BaseException:
                again.__exit__(None, None, None)
                raise
        await trio.to_thread.run_sync(again.__exit__, None, None, None)
    verdict = load.verdict(demand={"S2"})
    assert verdict.is_valid, verdict
    assert load.missing == []
    assert verdict.sometimes["S2"] == 3


async def test_publishers_of_the_client_protocol_know_no_positions(node, tmp_path):
    async with recorded_load(
        [node.url], channels=["plain", "live:x"], publishers=2, subscribers=2, directory=tmp_path,
    ) as load:
        await load.wait_acknowledged(60)
    verdict = load.verdict()
    assert verdict.is_valid, verdict
    assert load.missing == []
    assert verdict.looked_at["I6"] >= 30
    assert 0 < verdict.looked_at["I4"] < verdict.looked_at["I3"]


async def test_clients_that_the_server_sends_away_need_not_have_everything(node, tmp_path):
    async with recorded_load(
        [node.url], channels=["sent-1", "sent-2"], publishers=1, subscribers=3,
        directory=tmp_path, api_key=API_KEY,
    ) as load:
        await load.wait_acknowledged(10)
        gone, unsubscribed, _ = load.subscribers
        assert gone.client is not None
        assert unsubscribed.client is not None
        away = {"code": 3503, "reason": "force disconnect"}
        for method, body in (
            ("disconnect", {"client": gone.client.client_id, "disconnect": away}),
            ("unsubscribe", {"client": unsubscribed.client.client_id, "channel": "sent-1"}),
        ):
            await trio.to_thread.run_sync(lambda: node.call(method, user="", **body))
        await load.wait_acknowledged(20)
    verdict = load.verdict()
    assert verdict.is_valid, verdict
    assert load.missing == []
    ends = [event for event in read_log(tmp_path / "load.jsonl") if isinstance(event, ev.EndSeg)]
    assert sorted((end.cid, end.ch, end.why) for end in ends) == [
        ("load.c0", "sent-1", "unsubscribed"), ("load.c0", "sent-2", "unsubscribed"),
        ("load.c1", "sent-1", "unsubscribed"), ("load.c1", "sent-2", "closed"),
        ("load.c2", "sent-1", "closed"), ("load.c2", "sent-2", "closed"),
    ]


async def test_a_client_moves_and_misses_nothing(node, tmp_path):
    async with recorded_load(
        [node.url], channels=["moving"], publishers=2, subscribers=2, directory=tmp_path,
        api_key=API_KEY,
    ) as load:
        for _ in range(3):
            await load.wait_acknowledged(10)
            mover = load.subscribers[0]
            load.note(ev.Move(cid=mover.cid, target=node_name(node.url)))
            assert mover.client is not None
            await mover.client.move()
    verdict = load.verdict(demand={"S5"})
    assert verdict.is_valid, verdict


async def test_a_payload_of_somebody_else_is_a_phantom(node, tmp_path):
    async with recorded_load(
        [node.url], channels=["foreign"], publishers=1, subscribers=1, directory=tmp_path,
        api_key=API_KEY,
    ) as load:
        await load.wait_acknowledged(5)
        await trio.to_thread.run_sync(lambda: node.call("publish", channel="foreign", data=[1]))
        await load.wait_acknowledged(5)
    verdict = load.verdict()
    assert set(verdict.counts) == {"I1"}, verdict
