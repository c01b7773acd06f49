"""What the server says about coming back: when, where to, and for whom a place is kept."""

from __future__ import annotations

import pytest
import trio

from wsmesh.client import Connected, Connecting, advice, open_client

URL = "ws://one.test/connection/websocket"
OTHER = "ws://two.test/connection/websocket"
GRANTED = {"recoverable": True, "positioned": True, "epoch": "e"}


def session(window):
    return {"resume": {"session": "s", "secret": "x", "window": window}}


def halves(low, high):
    """Take the middle of every interval."""
    return (low + high) / 2


async def test_after_a_lost_connection_clients_come_back_within_the_window(
    server, settings, autojump_clock
):
    async def play():
        peer = await server.accept()
        await peer.welcome("one", **session(3.0))
        await peer.vanish()
        await (await server.accept()).welcome("two", **session(3.0))
        await trio.sleep_forever()

    server.nursery.start_soon(play)
    seen = []
    options = settings | {"uniform": halves, "observe": seen.append}
    async with open_client(URL, **options) as client:
        while client.client_id != "two":
            await trio.sleep(0.01)
    assert [0, 1.5] == [at for at, _ in server.dials]
    assert [1.5] == [each.delay for each in seen if isinstance(each, Connecting)]


async def test_the_window_can_change_while_connected_and_later_attempts_back_off(
    server, settings, autojump_clock
):
    async def play():
        peer = await server.accept()
        await peer.welcome("one", **session(100.0))
        await peer.say({"push": {"reconnect": {"window": 1.0}}})
        await trio.testing.wait_all_tasks_blocked()
        server.is_down = True
        await peer.vanish()
        await trio.sleep(0.6)
        server.is_down = False
        await (await server.accept()).welcome("two")
        await trio.sleep_forever()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings | {"uniform": halves}) as client:
        while client.client_id != "two":
            await trio.sleep(0.01)
    assert [0, 0.5, 1.25] == [at for at, _ in server.dials]


async def test_who_is_sent_away_moves_without_a_gap_and_shows_the_ticket(
    server, settings, autojump_clock
):
    ended = []

    async def play():
        old = await server.accept()
        await old.welcome("one", **session(1.0))
        await old.grant("chat", **GRANTED, offset=0)
        await old.publish("chat", 1)
        advised = {"after": 2.0, "url": "ws://two.test", "ticket": "t.1"}
        await old.say({"push": {"reconnect": advised}})
        await trio.sleep(1)
        await old.publish("chat", 2)
        new = await server.accept()
        assert "t.1" == new.headers["x-wsmesh-ticket"]
        assert {"resume": {}} == {"resume": (await new.welcome("two", **session(1.0)))["resume"]}
        await old.publish("chat", 3)
        result = {**GRANTED, "offset": 3, "recovered": True, "was_recovering": True}
        await new.grant("chat", **result, publications=[{"data": {"n": 3}, "offset": 3}])
        ended.append(await old.closed())
        await new.publish("chat", 4)
        await new.vanish()
        back = await server.accept()
        assert "x-wsmesh-ticket" not in back.headers
        await back.welcome("three")
        await trio.sleep_forever()

    server.nursery.start_soon(play)
    seen = []
    async with open_client(URL, **settings | {"observe": seen.append}) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert [1, 2, 3, 4] == [(await anext(subscription)).data["n"] for _ in range(4)]
            assert not subscription.continuity.is_gap
        while client.client_id != "three":
            await trio.sleep(0.01)
    assert [1000] == [code for code, _ in ended]
    assert [(0, URL), (2, OTHER), (2, URL)] == server.dials, "a node's own address is not kept"
    assert Connected(client="two", url=OTHER, moved=True) in seen


async def test_who_is_closed_before_its_time_still_comes_when_it_was_told_to(
    server, settings, autojump_clock
):
    async def play():
        old = await server.accept()
        await old.welcome("one", **session(1.0))
        await old.say({"push": {"reconnect": {"after": 2.0, "ticket": "t.1"}}})
        await trio.sleep(0.5)
        await old.close(3001, "shutdown")
        new = await server.accept()
        assert "t.1" == new.headers["x-wsmesh-ticket"]
        request = await new.welcome("two", **session(1.0))
        assert {"session": "s", "secret": "x"} == request["resume"], "it continues its session"
        await trio.sleep_forever()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        while client.client_id != "two":
            await trio.sleep(0.01)
    assert [(0, URL), (2, URL)] == server.dials


async def test_a_refused_client_comes_back_at_its_own_moment(server, settings, autojump_clock):
    async def play():
        slot = [(b"Retry-After", b"2"), (b"Retry-After-Ms", b"1234")]
        await server.reject(503, slot)
        await (await server.accept()).welcome("one")
        await trio.sleep_forever()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        await client.wait_connected(within=5)
    assert [0, 1.234] == [at for at, _ in server.dials]


@pytest.mark.parametrize("value", [b"", b"-5", b"soon", b"1e3", b"\xb2"])
def test_a_moment_that_is_no_number_counts_for_nothing(value):
    found = advice.of_rejection(503, [(b"retry-after-ms", value), (b"retry-after", b"7")], 0.0)
    assert (found.retry_after, found.is_slot) == (7.0, False)


def test_nobody_is_made_to_wait_for_hours():
    found = advice.of_rejection(503, [(b"retry-after-ms", b"9" * 30)], 0.0)
    assert found.retry_after == advice.LONGEST_ADVICE


async def test_a_move_that_has_to_wait_is_no_lost_connection(server, settings, autojump_clock):
    async def play():
        old = await server.accept()
        await old.welcome("one", **session(1.0))
        await old.say({"push": {"reconnect": {"after": 0.0, "ticket": "t.1"}}})
        await server.reject(503, [(b"Retry-After-Ms", b"2000")])
        await (await server.accept()).welcome("two", **session(1.0))
        await trio.sleep_forever()

    server.nursery.start_soon(play)
    seen = []
    async with open_client(URL, **settings | {"observe": seen.append}) as client:
        while client.client_id != "two":
            await trio.sleep(0.01)
    assert [0, 0, 2.0] == [at for at, _ in server.dials]
    assert [("one", False), ("two", True)] == [(each.client, each.moved) for each in seen]


async def test_who_loses_the_connection_while_moving_is_told(server, settings, autojump_clock):
    async def play():
        old = await server.accept()
        await old.welcome("one", **session(1.0))
        await old.say({"push": {"reconnect": {"after": 0.0}}})
        new = await server.accept()
        await old.close(3001, "shutdown")
        await trio.testing.wait_all_tasks_blocked()
        await new.welcome("two", **session(1.0))
        await trio.sleep_forever()

    server.nursery.start_soon(play)
    seen = []
    async with open_client(URL, **settings | {"observe": seen.append}) as client:
        while client.client_id != "two":
            await trio.sleep(0.01)
    assert [Connected, Connecting, Connected] == [type(each) for each in seen]
    assert (3001, False) == (seen[1].code, seen[2].moved)
