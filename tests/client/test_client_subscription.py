"""A subscription's life: granted, refused, ended by the server or the user, resubscribed."""

from __future__ import annotations

import pytest
import trio

from wsmesh.client import (
    ClientInfo,
    Connecting,
    Deadlines,
    Joined,
    Left,
    NotConnected,
    Publication,
    ReplyError,
    Subscribed,
    Unsubscribed,
    open_client,
)

URL = "ws://node.test/connection/websocket"
GRANTED = {"recoverable": True, "positioned": True, "epoch": "e"}


def unsubscribe(channel, code, reason):
    return {"push": {"channel": channel, "unsubscribe": {"code": code, "reason": reason}}}


async def test_a_refused_subscription_raises_on_entering(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.refuse("subscribe", 103, "permission denied")
        await peer.grant("chat")

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        with pytest.raises(ReplyError) as caught:
            async with client.subscribe("secret"):
                raise AssertionError("entered")
        assert (103, "permission denied") == (caught.value.code, caught.value.message)
        async with client.subscribe("chat"):
            pass  # the client goes on


async def test_a_temporary_refusal_is_tried_again(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.refuse("subscribe", 100, "internal server error", temporary=True)
        await peer.grant("chat")

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat"):
            assert 0.5 == trio.current_time()


async def test_a_subscribe_without_an_answer_fails_at_its_deadline(
    server, settings, autojump_clock
):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.expect("subscribe")

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        with pytest.raises(NotConnected, match="the subscribe was not answered"):
            async with client.subscribe("chat"):
                pass
        assert 5 == trio.current_time()


async def test_a_resubscribe_that_is_not_answered_makes_a_new_connection(
    server, settings, autojump_clock
):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("chat")
        await peer.vanish()
        peer = await server.accept()
        await peer.welcome()
        await peer.expect("subscribe")
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("chat")
        again.set()

    again = trio.Event()
    server.nursery.start_soon(play)
    seen = []
    options = {**settings, "deadlines": Deadlines(request=5), "observe": seen.append}
    async with open_client(URL, **options) as client, client.subscribe("chat"):
        await again.wait()
        assert 0.5 + 5 + 0.5 == trio.current_time()
    reasons = [event.reason for event in seen if isinstance(event, Connecting)]
    assert "subscribe not answered in 5 s" == reasons[1]


async def test_leaving_the_context_unsubscribes(server, settings, autojump_clock):
    commands = []

    async def play():
        peer = await server.accept()
        await peer.welcome()
        for _ in range(2):
            await peer.grant("chat")
            commands.append(await peer.command())

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        for _ in range(2):
            async with client.subscribe("chat"):
                pass
        await trio.sleep(1)
    assert [{"channel": "chat"}] * 2 == [command["unsubscribe"] for command in commands]


async def test_a_channel_is_subscribed_once_at_a_time(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("chat")

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client, client.subscribe("chat"):
        with pytest.raises(ValueError, match="already subscribed to 'chat'"):
            async with client.subscribe("chat"):
                pass


async def test_an_unsubscribe_below_2500_ends_the_iteration_with_its_reason(
    server, settings, autojump_clock
):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("chat", **GRANTED, offset=0)
        await peer.publish("chat", 1)
        await peer.say(unsubscribe("chat", 2000, "server unsubscribe"))
        await peer.vanish()
        peer = await server.accept()
        await peer.welcome()
        assert (1000, []) == await peer.closed()  # neither subscribed nor unsubscribed again
        done.set()

    done = trio.Event()
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert [1] == [publication.offset async for publication in subscription]
            expected = Unsubscribed(channel="chat", code=2000, reason="server unsubscribe")
            assert expected == subscription.ended
            assert [] == [publication async for publication in subscription]
            await trio.sleep(2)
    await done.wait()


async def test_an_unsubscribe_from_2500_on_recovers(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("chat", **GRANTED, offset=3)
        await peer.say(unsubscribe("chat", 2500, "insufficient state"))
        request = await peer.grant(
            "chat",
            **GRANTED,
            offset=4,
            recovered=True,
            was_recovering=True,
            publications=[{"data": {"n": 4}, "offset": 4}],
        )
        assert (True, 3, 0) == (request["recover"], request["offset"], trio.current_time())

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert 4 == (await anext(subscription)).offset


async def test_a_server_that_keeps_asking_to_resubscribe_is_not_hammered(
    server, settings, autojump_clock
):
    times = []

    async def play():
        peer = await server.accept()
        await peer.welcome()
        while "subscribe" in (command := await peer.command()):
            await peer.say({"id": command["id"], "subscribe": {}})
            times.append(trio.current_time())
            await peer.say(unsubscribe("chat", 2500, "insufficient state"))

    server.nursery.start_soon(play)
    settings["uniform"] = lambda low, high: high
    async with open_client(URL, **settings) as client, client.subscribe("chat"):
        await trio.sleep(10)
    assert [0, 0, 1, 3, 7] == times


async def test_events_come_in_order_with_the_publications(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        request = await peer.grant("chat", data={"topic": "tea"})
        assert request["join_leave"]
        who = {"info": {"user": "u", "client": "c"}}
        await peer.say(
            {"push": {"channel": "chat", "join": who}},
            {"push": {"channel": "chat", "pub": {"data": 1}}},
            {"push": {"channel": "chat", "leave": who}},
            unsubscribe("chat", 2000, "bye"),
        )

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", join_leave=True) as subscription:
            events = [event async for event in subscription.events()]
    who = ClientInfo(user="u", client="c")
    assert [Subscribed, Joined, Publication, Left, Unsubscribed] == [type(e) for e in events]
    assert {"topic": "tea"} == events[0].data
    assert (who, who) == (events[1].info, events[3].info)


async def test_a_gap_that_nobody_read_is_not_forgotten_at_the_next_recovery(
    server, settings, autojump_clock
):
    async def play():
        outcomes = [
            {"offset": 1},
            {"offset": 9, "was_recovering": True, "recovered": False},
            {"offset": 9, "was_recovering": True, "recovered": True},
        ]
        for outcome in outcomes:
            peer = await server.accept()
            await peer.welcome()
            await peer.grant("chat", **GRANTED, **outcome)
            await trio.sleep(1)
            if outcome is not outcomes[-1]:
                await peer.vanish()
        await peer.publish("chat", 10)

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            await trio.sleep(20)
            assert 10 == (await anext(subscription)).offset
            assert subscription.continuity.is_gap


async def test_server_side_subscriptions_are_read_from_the_client(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome(subs={"#ann": {**GRANTED, "offset": 1}, "news": {}})
        await peer.publish("#ann", 2)
        await peer.say({"push": {"channel": "late", "subscribe": {}}})
        await peer.say({"push": {"channel": "late", "pub": {"data": "x"}}})
        await trio.sleep(1)
        await peer.vanish()
        recovered = {**GRANTED, "offset": 3, "recovered": True, "was_recovering": True}
        missed = [{"data": {"n": 3}, "offset": 3}]
        peer = await server.accept()
        request = await peer.welcome(subs={"#ann": {**recovered, "publications": missed}})
        asked.append(request["subs"])

    asked = []
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        got = [await anext(client.publications) for _ in range(3)]
        assert [("#ann", 2), ("late", 0), ("#ann", 3)] == [(p.channel, p.offset) for p in got]
        await trio.sleep(1)
    assert [{"#ann": {"channel": "#ann", "recover": True, "epoch": "e", "offset": 2}}] == asked


async def test_events_of_server_side_subscriptions(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome(subs={"news": {}})
        await peer.vanish()
        await (await server.accept()).welcome()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        events = client.publications.events()
        assert Subscribed(channel="news") == await anext(events)
        gone = await anext(events)
        await events.aclose()
    assert Unsubscribed(channel="news", code=2000, reason="server unsubscribe") == gone


async def test_an_unread_inbox_keeps_the_newest_and_says_so(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome(subs={"#ann": {}})
        await peer.publish("#ann", *range(1, 8))
        await peer.say(*({"push": {"message": {"data": n}}} for n in range(8)))

    server.nursery.start_soon(play)
    async with open_client(URL, **settings, buffer=3) as client:
        await trio.sleep(1)
        events = client.publications.events()
        assert 5 == (await anext(events)).count
        assert [5, 6, 7] == [(await anext(events)).offset for _ in range(3)]
        await events.aclose()
        assert [5, 6, 7] == [await anext(client.messages) for _ in range(3)]
