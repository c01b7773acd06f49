"""Commands are counted by method; those that need a task are timed, the others are not."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.doubles.link import FakeLink, FakeNode, configured
from wsmesh.app import App, RPCContext
from wsmesh.config.channels import ChannelOptions
from wsmesh.config.values import Seconds
from wsmesh.errors import ReplyError
from wsmesh.metrics import METHODS

OPEN = ChannelOptions(
    history_size=10, history_ttl=Seconds(60), presence=True,
    allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True, allow_publish_for_anonymous=True,
    allow_history_for_client=True, allow_history_for_anonymous=True,
    allow_presence_for_client=True, allow_presence_for_anonymous=True,
)  # fmt: skip


def node() -> FakeNode:
    """Return a node whose rpc takes a second; "refuse" is answered with an error after it."""
    app = App()

    @app.on_rpc()
    async def rpc(context: RPCContext) -> bytes:
        await trio.sleep(1)
        if context.method == "refuse":
            raise ReplyError(1234, "no")
        return b"1"

    return FakeNode(
        configured(
            client={"allow_anonymous_connect_without_token": True},
            channel={"without_namespace": OPEN},
        ),
        app,
    )


async def connected(here: FakeNode) -> FakeLink:
    """Return a client that connected, with nothing counted yet."""
    link = await here.connected()
    here.metrics.commands.update(dict.fromkeys(METHODS, 0))
    for histogram in (here.metrics.command_wait_seconds, here.metrics.command_seconds):
        assert histogram.total == 0
    return link


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("connect", {}), ("subscribe", {"channel": "c"}), ("unsubscribe", {"channel": "c"}),
        ("publish", {"channel": "c", "data": 1}), ("presence", {"channel": "c"}),
        ("presence_stats", {"channel": "c"}), ("history", {"channel": "c"}), ("ping", {}),
        ("send", {"data": 1}), ("rpc", {"method": "m"}), ("refresh", {"token": "t"}),
        ("sub_refresh", {"channel": "c", "token": "t"}), ("unknown", {}),
    ],
)  # fmt: skip
async def test_a_command_is_counted_once_by_its_method(
    method: str, request_: dict[str, Any], autojump_clock: MockClock
) -> None:
    here = node()
    link = await connected(here)
    await link.ask(**{method: request_})
    assert {name: count for name, count in here.metrics.commands.items() if count} == {method: 1}


async def test_a_command_that_waits_for_others_is_counted_once_when_it_comes(
    autojump_clock: MockClock,
) -> None:
    here = node()
    link = await connected(here)
    for number in range(3):
        link.say({"id": 10 + number, "rpc": {"method": "m"}})
    link.say({"id": 20, "ping": {}})
    assert link.waiting == 4
    assert (here.metrics.commands["rpc"], here.metrics.commands["ping"]) == (3, 1)
    await link.work()
    assert (here.metrics.commands["rpc"], here.metrics.commands["ping"]) == (3, 1)


async def test_waiting_and_execution_are_timed_from_the_arrival(autojump_clock: MockClock) -> None:
    here = node()
    link = await connected(here)
    waits, seconds = here.metrics.command_wait_seconds, here.metrics.command_seconds
    before = waits.count, seconds.count
    link.say({"id": 10, "rpc": {"method": "m"}}, {"id": 11, "rpc": {"method": "refuse"}})
    link.say({"id": 12, "ping": {}})
    await link.work()
    assert (waits.count - before[0], seconds.count - before[1]) == (3, 3)
    # rpc: at once, 1 s; rpc: after 1 s, 2 s; ping: after 2 s, answered at once.
    assert waits.total == pytest.approx(0 + 1 + 2)
    assert seconds.total == pytest.approx(1 + 2 + 2)
    assert 'wsmesh_client_command_errors_total{code="1234"} 1.0' in exposition(here)


async def test_commands_that_are_answered_at_once_are_not_timed() -> None:
    here = node()
    link = await connected(here)
    before = here.metrics.command_wait_seconds.count
    for number in range(10):
        link.say({"id": 10 + number, "publish": {"channel": "c", "data": number}})
    assert here.metrics.command_wait_seconds.count == before
    assert here.metrics.commands["publish"] == 10


async def test_a_command_whose_client_left_has_no_duration(autojump_clock: MockClock) -> None:
    here = node()
    link = await connected(here)
    waits, seconds = here.metrics.command_wait_seconds, here.metrics.command_seconds
    before = waits.count, seconds.count
    link.say({"id": 10, "rpc": {"method": "m"}})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.work)
        await trio.sleep(0.5)
        await link.leave()
    assert (waits.count - before[0], seconds.count - before[1]) == (1, 0)


def exposition(here: FakeNode) -> str:
    return here.metrics.exposition("")[0].decode()


def test_every_method_has_a_sample_from_the_start() -> None:
    async def play() -> str:
        return exposition(node())

    text = trio.run(play)
    for method in METHODS:
        assert f'wsmesh_client_commands_total{{method="{method}"}} 0.0' in text
    assert "wsmesh_client_command_seconds_bucket" in text
    assert "wsmesh_client_command_wait_seconds_bucket" in text
