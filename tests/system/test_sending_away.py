"""A node that drains loses no client and no message: they move while their connection works."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import trio

from tests.supervisor.up_process import UpProcess, running_up
from wsmesh.client import ClientEvent, Connected, Connecting, open_client

CLIENTS, MESSAGES = 12, 60


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    """Three nodes behind a gateway."""
    with running_up("--nodes", "3") as process:
        yield process


async def test_clients_move_without_a_gap_to_where_they_were_sent(up: UpProcess) -> None:
    url = up.url()
    heard: list[list[int]] = [[] for _ in range(CLIENTS)]
    seen: list[list[ClientEvent]] = [[] for _ in range(CLIENTS)]

    async def listen(number: int, *, task_status: trio.TaskStatus[None]) -> None:
        async with (
            open_client(url, observe=seen[number].append) as client,
            client.subscribe("news", recover=True) as subscription,
        ):
            task_status.started()
            async for publication in subscription:
                heard[number].append(publication.data)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                await nursery.start(listen, number)
            report = up.report("node-1")
            assert report is not None
            async with open_client(up.url("node-2")) as publisher:
                for number in range(MESSAGES):
                    await publisher.publish("news", number)
                    if number == MESSAGES // 3:
                        os.kill(report.pid, signal.SIGTERM)
                    await trio.sleep(0.05)
            while any(len(each) < MESSAGES for each in heard):
                await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    assert heard == [list(range(MESSAGES))] * CLIENTS
    moved = [events for events in seen if any(
        isinstance(each, Connected) and each.moved for each in events
    )]
    assert len(moved) >= report.connections > 0, "everybody who was on the node has moved"
    assert not any(isinstance(each, Connecting) for events in seen for each in events), (
        "nobody was ever without a connection"
    )
