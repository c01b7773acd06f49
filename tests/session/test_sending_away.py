"""Clients hear where to go while their connection works, and how long all of them would need."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.doubles.link import FakeNode, configured
from wsmesh.protocol import codes
from wsmesh.session.sending_away import GRACE, keep_window_told, send_away

OPEN = configured(client={"allow_anonymous_connect_without_token": True})


async def test_who_asked_for_a_session_is_told_the_window(autojump_clock: Any) -> None:
    node = FakeNode(OPEN)
    node.return_window = 3.5
    link = node.client()
    reply = await link.ask(connect={"resume": {}})
    assert reply["connect"]["resume"]["window"] == 3.5
    plain = await node.client().ask(connect={})
    assert "resume" not in plain["connect"]


async def test_who_understands_is_told_where_to_go_and_closed_only_when_it_dawdles(
    autojump_clock: Any,
) -> None:
    node = FakeNode(OPEN)
    link = await node.connected(resume={})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.services.timers.run)
        assert send_away(
            link.session, codes.SHUTDOWN, url="ws://b.test", ticket="t", reason="drain",
            must_go=True,
        )
        assert link.pushes("reconnect")[-1] == {
            "reconnect": {"after": 0.0, "url": "ws://b.test", "ticket": "t", "reason": "drain"}
        }
        await trio.sleep(GRACE - 0.1)
        assert link.closed is None
        await trio.sleep(0.3)
        assert link.closed == (3001, "shutdown")
        nursery.cancel_scope.cancel()


async def test_who_need_not_go_may_try_as_long_as_it_takes(autojump_clock: Any) -> None:
    node = FakeNode(OPEN)
    link = await node.connected(resume={})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.services.timers.run)
        assert send_away(link.session, codes.FORCE_RECONNECT, reason="rebalance")
        await trio.sleep(3 * GRACE)
        nursery.cancel_scope.cancel()
    assert link.closed is None


async def test_who_understands_nothing_is_closed_at_once(autojump_clock: Any) -> None:
    node = FakeNode(OPEN)
    link = await node.connected()
    assert not send_away(link.session, codes.SHUTDOWN, url="ws://b.test")
    assert link.closed == (3001, "shutdown")
    assert not send_away(link.session, codes.SHUTDOWN)


@pytest.mark.parametrize(
    ("windows", "told"),
    [([1.0, 1.5, 1.9], []), ([1.0, 2.0], [2.0]), ([1.0, 4.0, 5.0, 1.9], [4.0, 1.9]),
     ([0.01, 0.2], []), ([0.0, 0.3], [0.3])],
)  # fmt: skip
async def test_a_window_that_matters_is_told_to_all_who_understand(
    autojump_clock: Any, windows: list[float], told: list[float]
) -> None:
    node = FakeNode(OPEN)
    node.return_window = windows[0]
    link, plain = await node.connected(resume={}), await node.connected()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_window_told, node.services, node.registry)
        await trio.testing.wait_all_tasks_blocked()
        for window in windows[1:]:
            node.return_window = window
            await trio.sleep(1.2)
        nursery.cancel_scope.cancel()
    assert link.pushes("reconnect") == [{"reconnect": {"window": window}} for window in told]
    assert plain.pushes("reconnect") == []
