"""Subscriptions survive a lost connection: in order, without gaps or duplicates, or they say so."""

from __future__ import annotations

import trio

from wsmesh.client import StreamPosition, open_client

URL = "ws://node.test/connection/websocket"
GRANTED = {"recoverable": True, "positioned": True, "epoch": "e"}


async def numbers(subscription, count):
    return [(await anext(subscription)).data["n"] for _ in range(count)]


async def test_missed_publications_come_first_and_in_order(server, settings, autojump_clock):
    async def play():
        first = await server.accept()
        await first.welcome("one")
        request = await first.grant("chat", **GRANTED, offset=4)
        assert request == {"channel": "chat", "recoverable": True}
        await first.publish("chat", 5, 6)
        await first.vanish()
        second = await server.accept()
        await second.welcome("two")
        missed = [{"data": {"n": n}, "offset": n} for n in (7, 8)]
        request = await second.grant(
            "chat", **GRANTED, offset=8, publications=missed, recovered=True, was_recovering=True
        )
        assert request == {
            "channel": "chat",
            "recoverable": True,
            "recover": True,
            "epoch": "e",
            "offset": 6,
        }
        await second.publish("chat", 9)

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert [5, 6, 7, 8, 9] == await numbers(subscription, 5)
            assert subscription.continuity.was_recovering
            assert subscription.continuity.recovered
            assert not subscription.continuity.is_gap
            assert StreamPosition(offset=9, epoch="e") == subscription.position
            assert "two" == client.client_id


async def test_publications_known_already_are_dropped(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("chat", **GRANTED, offset=0)
        await peer.publish("chat", 1, 2, 2, 1, 3)

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert [1, 2, 3] == await numbers(subscription, 3)


async def test_a_failed_recovery_is_visible_between_the_publications(
    server, settings, autojump_clock
):
    async def play():
        first = await server.accept()
        await first.welcome()
        await first.grant("chat", **GRANTED, offset=10)
        await first.publish("chat", 11)
        await first.vanish()
        second = await server.accept()
        await second.welcome()
        await second.grant(
            "chat", recoverable=True, epoch="new", offset=3, was_recovering=True, recovered=False
        )
        await second.publish("chat", 4)

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert [11] == await numbers(subscription, 1)
            assert not subscription.continuity.is_gap
            assert [4] == await numbers(subscription, 1)
            assert subscription.continuity.is_gap
            assert StreamPosition(offset=4, epoch="new") == subscription.position


async def test_a_subscription_can_begin_at_a_known_position(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        request = await peer.grant(
            "chat",
            **GRANTED,
            offset=6,
            publications=[{"data": {"n": 6}, "offset": 6}],
            was_recovering=True,
            recovered=True,
        )
        assert (5, "e", True) == (request["offset"], request["epoch"], request["recover"])

    server.nursery.start_soon(play)
    since = StreamPosition(offset=5, epoch="e")
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", since=since) as subscription:
            assert [6] == await numbers(subscription, 1)
    assert StreamPosition(offset=5, epoch="e") == since


async def test_a_channel_without_history_says_that_it_may_have_missed_something(
    server, settings, autojump_clock
):
    async def play():
        for n in (1, 2):
            peer = await server.accept()
            await peer.welcome()
            request = await peer.grant("chat")
            assert {"channel": "chat"} == request
            await peer.say({"push": {"channel": "chat", "pub": {"data": {"n": n}}}})
            await trio.sleep(0.1)
            await peer.vanish()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat") as subscription:
            assert [1] == await numbers(subscription, 1)
            assert subscription.continuity.is_first
            assert not subscription.continuity.is_gap
            assert [2] == await numbers(subscription, 1)
            assert subscription.continuity.is_gap


async def test_a_reader_that_lags_pauses_its_channel_and_recovers(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("chat", **GRANTED, offset=0)
        await peer.grant("calm", **GRANTED, offset=0)
        await peer.publish("chat", *range(1, 8))
        await peer.publish("calm", 1)
        _, left = await peer.expect("unsubscribe")
        assert {"channel": "chat"} == left
        request = await peer.grant(
            "chat",
            **GRANTED,
            offset=7,
            publications=[{"data": {"n": n}, "offset": n} for n in (5, 6, 7)],
            was_recovering=True,
            recovered=True,
        )
        assert 4 == request["offset"]
        await peer.publish("chat", 8)

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with (
            client.subscribe("chat", recover=True, buffer=4) as busy,
            client.subscribe("calm", recover=True) as calm,
        ):
            assert [1] == await numbers(calm, 1)
            await trio.sleep(60)
            assert [1, 2, 3, 4, 5, 6, 7, 8] == await numbers(busy, 8)
            assert not busy.continuity.is_gap


async def test_resubscribes_go_out_together_in_one_frame(server, settings, autojump_clock):
    async def play():
        first = await server.accept()
        await first.welcome()
        for channel in "abc":
            await first.grant(channel)
        await first.vanish()
        second = await server.accept()
        await second.welcome()
        frame = await second.ws.get_message()
        assert 3 == len(frame.split("\n"))
        done.set()

    done = trio.Event()
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("a"), client.subscribe("b"), client.subscribe("c"):
            await done.wait()
