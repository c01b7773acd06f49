"""Continuing a session: one round trip, and where that fails no difference but more of them."""

from __future__ import annotations

import pytest
import trio

from wsmesh.client import Disconnected, open_client

URL = "ws://node.test/connection/websocket"
GRANTED = {"recoverable": True, "positioned": True, "epoch": "e"}
FIRST = {"session": "s", "secret": "one"}
SECOND = {"session": "s", "secret": "two", "resumed": True}


def recovered(*offsets):
    return {
        **GRANTED, "offset": offsets[-1], "recovered": True, "was_recovering": True,
        "publications": [{"data": {"n": n}, "offset": n} for n in offsets],
    }  # fmt: skip


async def numbers(subscription, count):
    return [(await anext(subscription)).data["n"] for _ in range(count)]


async def test_a_hundred_channels_are_back_with_the_reply_to_connect(
    server, settings, autojump_clock
):
    channels = [f"c{number}" for number in range(100)]

    async def play():
        first = await server.accept()
        assert (await first.welcome(resume=FIRST))["resume"] == {}
        for _ in channels:
            number, request = await first.expect("subscribe")
            await first.say({"id": number, "subscribe": {**GRANTED, "offset": 1}})
        await first.publish("c7", 2)
        await trio.sleep(1)
        await first.vanish()
        second = await server.accept()
        back = {name: recovered(*([3] if name == "c7" else [2])) for name in channels}
        request = await second.welcome("two", resume=SECOND, subs=back)
        assert request["resume"] == FIRST
        assert set(request["subs"]) == set(channels)
        at = {"recoverable": True, "recover": True, "epoch": "e", "channel": "c7", "offset": 2}
        assert request["subs"]["c7"] == at
        with trio.move_on_after(5):
            asked.append(await second.command())

    asked = []
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client, trio.open_nursery() as nursery:

        async def read(name):
            async with client.subscribe(name, recover=True) as subscription:
                wanted = 2 if name == "c7" else 1
                assert await numbers(subscription, wanted) == [2, 3][:wanted]
                assert subscription.continuity.recovered or name == "c7"
                await trio.sleep(8)

        for name in channels:
            nursery.start_soon(read, name)
    assert asked == []


async def test_a_refused_session_is_subscribed_again_and_a_new_one_kept(
    server, settings, autojump_clock
):
    async def play():
        first = await server.accept()
        await first.welcome(resume=FIRST)
        await first.grant("chat", **GRANTED, offset=1)
        await first.vanish()
        second = await server.accept()
        assert (await second.welcome("two", resume={"session": "t", "secret": "x"}))["subs"]
        assert (await second.grant("chat", **recovered(2)))["offset"] == 1
        await second.vanish()
        third = await server.accept()
        request = await third.welcome("three", resume={**SECOND, "session": "t"}, subs={})
        assert request["resume"] == {"session": "t", "secret": "x"}
        await third.grant("chat", **recovered(3))

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert [2, 3] == await numbers(subscription, 2)


async def test_a_server_that_knows_nothing_of_it_is_asked_no_more_than_that(
    server, settings, autojump_clock
):
    async def play():
        first = await server.accept()
        await first.welcome()
        await first.grant("chat", **GRANTED, offset=1)
        await first.vanish()
        second = await server.accept()
        assert "subs" not in await second.welcome("two")
        await second.grant("chat", **recovered(2))

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert [2] == await numbers(subscription, 1)


async def test_who_does_not_want_it_does_not_ask(server, settings, autojump_clock):
    seen = []

    async def play():
        seen.append(await (await server.accept()).welcome())

    server.nursery.start_soon(play)
    async with open_client(URL, **settings, resume=False) as client:
        await client.wait_connected()
    assert "resume" not in seen[0]


async def test_a_move_keeps_the_old_connection_and_so_its_session(
    server, settings, autojump_clock
):
    async def play():
        first = await server.accept()
        await first.welcome(resume=FIRST)
        await first.grant("chat", **GRANTED, offset=1)
        second = await server.accept()
        request = await second.welcome("two", resume={"session": "t", "secret": "x"})
        assert request["resume"] == {}
        await first.publish("chat", 2)
        await second.grant("chat", **recovered(2))
        await second.publish("chat", 3)

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            await client.move("ws://other.test/connection/websocket")
            assert [2, 3] == await numbers(subscription, 2)


async def test_a_session_that_somebody_else_continues_ends_the_client(
    server, settings, autojump_clock
):
    async def play():
        peer = await server.accept()
        await peer.welcome(resume=FIRST)
        await peer.close(4509, "session taken over")

    server.nursery.start_soon(play)
    with pytest.raises(Disconnected, match="session taken over"):
        async with open_client(URL, **settings):
            await trio.sleep(60)
