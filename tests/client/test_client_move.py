"""Make before break: the new connection serves before the old one goes; nothing lost or doubled."""

from __future__ import annotations

import pytest
import trio

from wsmesh.client import Connected, Deadlines, MoveFailed, open_client

URL = "ws://one.test/connection/websocket"
OTHER = "ws://two.test/connection/websocket"
GRANTED = {"recoverable": True, "positioned": True, "epoch": "e"}


def missed(*offsets):
    return [{"data": {"n": n}, "offset": n} for n in offsets]


async def numbers(subscription, count):
    return [(await anext(subscription)).data["n"] for _ in range(count)]


async def serve_overlapping(server, told_to_move, ended):
    """Two nodes that both deliver while the client changes from one to the other."""
    old = await server.accept()
    await old.welcome("one")
    await old.grant("chat", **GRANTED, offset=0)
    await old.publish("chat", 1, 2)
    await told_to_move(old)
    new = await server.accept()
    await new.welcome("two")
    number, request = await new.expect("subscribe")
    assert (2, "e", True) == (request["offset"], request["epoch"], request["recover"])
    await old.publish("chat", 3, 4)
    await trio.testing.wait_all_tasks_blocked()
    await new.publish("chat", 3)  # not subscribed here yet: must not count
    result = {**GRANTED, "offset": 5, "publications": missed(3, 4, 5)}
    await old.publish("chat", 5, 6)
    await new.say(
        {"id": number, "subscribe": {**result, "recovered": True, "was_recovering": True}}
    )
    await old.publish("chat", 7)
    await new.publish("chat", 6, 7, 8)
    ended.append(await old.closed())
    await new.publish("chat", 9)


async def test_a_move_loses_and_repeats_nothing(server, settings, autojump_clock):
    ended, asked = [], trio.Event()

    async def ask(old):
        asked.set()

    server.nursery.start_soon(serve_overlapping, server, ask, ended)
    seen = []
    async with open_client(URL, **settings, observe=seen.append) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            await asked.wait()
            await client.move(OTHER)
            assert ("two", OTHER) == (client.client_id, client.url)
            assert list(range(1, 10)) == await numbers(subscription, 9)
            assert not subscription.continuity.is_gap
    assert [(1000, [])] == ended
    assert [URL, OTHER] == [url for _, url in server.dials]
    assert Connected(client="two", url=OTHER, moved=True) == seen[-1]


async def test_a_disconnect_push_moves_while_the_connection_still_works(
    server, settings, autojump_clock
):
    ended = []

    async def push(old):
        await old.say({"push": {"disconnect": {"code": 3011, "reason": "force reconnect"}}})

    server.nursery.start_soon(serve_overlapping, server, push, ended)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat", recover=True) as subscription:
            assert list(range(1, 10)) == await numbers(subscription, 9)
    assert [(1000, [])] == ended
    assert [(0, URL), (0, URL)] == server.dials


async def test_a_move_that_fails_leaves_the_client_where_it_was(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome("one")
        await peer.grant("chat")
        await moved.wait()
        await peer.say({"push": {"channel": "chat", "pub": {"data": {"n": 1}}}})

    moved = trio.Event()
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("chat") as subscription:
            server.is_down = True
            with pytest.raises(MoveFailed, match="nobody listens"):
                await client.move(OTHER)
            moved.set()
            assert [1] == await numbers(subscription, 1)
            assert ("one", URL) == (client.client_id, client.url)
    assert 2 == len(server.dials)


async def test_an_advised_move_is_tried_until_it_works(server, settings, autojump_clock):
    async def play():
        old = await server.accept()
        await old.welcome("one")
        server.is_down = True
        await old.say({"push": {"disconnect": {"code": 3001, "reason": "shutdown"}}})
        await trio.sleep(3)
        await old.say({"push": {"disconnect": {"code": 3001, "reason": "hurry"}}})
        number, _ = await old.expect("publish")
        await trio.sleep(2)
        await old.say({"id": number, "publish": {}})
        server.is_down = False
        await (await server.accept()).welcome("two")

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        await client.wait_connected()
        await trio.sleep(2)
        assert "one" == client.client_id
        await client.publish("chat", "while moving")
        await trio.sleep(30)
        assert "two" == client.client_id
    assert URL == server.dials[-1][1]
    assert server.dials[-1][0] < 6  # the second push did not cause a second move


async def test_the_old_connection_stays_until_its_answers_are_in(server, settings, autojump_clock):
    async def play():
        old = await server.accept()
        await old.welcome("one")
        number, _ = await old.expect("rpc")
        asked.set()
        await (await server.accept()).welcome("two")
        await trio.sleep(2)
        await old.say({"id": number, "rpc": {"data": "late"}})
        await old.closed()
        ended.append(trio.current_time())

    async def call(client):
        answers.append(await client.rpc("slow"))

    asked, answers, ended = trio.Event(), [], []
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client, trio.open_nursery() as nursery:
        nursery.start_soon(call, client)
        await asked.wait()
        await client.move()
        assert "two" == client.client_id
    await trio.testing.wait_all_tasks_blocked()
    assert (["late"], [2]) == (answers, ended)


async def test_a_new_node_that_does_not_subscribe_cannot_hold_the_old_connection_for_ever(
    server, settings, autojump_clock
):
    ended = []

    async def play():
        old = await server.accept()
        await old.welcome("one")
        await old.grant("chat", **GRANTED, offset=0)
        asked.set()
        new = await server.accept()
        await new.welcome("two")
        await new.refuse("subscribe", 100, "internal server error", temporary=True)
        await old.closed()
        ended.append(trio.current_time())
        await new.grant("chat", **GRANTED, offset=0)

    asked = trio.Event()
    server.nursery.start_soon(play)
    settings["uniform"] = lambda low, high: 20
    async with open_client(URL, **settings, deadlines=Deadlines(request=5)) as client:
        async with client.subscribe("chat", recover=True):
            await asked.wait()
            await client.move()
            await trio.sleep(30)
    assert [5] == ended


async def test_a_move_while_disconnected_does_not_wait_for_the_backoff(
    server, settings, autojump_clock
):
    async def play():
        await (await server.accept()).welcome("two")

    settings["uniform"] = lambda low, high: 20
    server.is_down = True
    async with open_client(URL, **settings) as client:
        await trio.sleep(5)
        server.is_down = False
        server.nursery.start_soon(play)
        await client.move(OTHER)
        assert "two" == client.client_id
    assert [(0, URL), (5, OTHER)] == server.dials


async def test_a_move_from_nowhere_to_nowhere_fails(server, settings, autojump_clock):
    server.is_down = True
    async with open_client(URL, **settings) as client:
        await trio.sleep(0.1)
        with pytest.raises(MoveFailed, match=f"still at {URL}"):
            await client.move(OTHER)


async def test_an_answer_of_the_old_node_that_comes_late_does_not_take_the_channel_back(
    server, settings, autojump_clock
):
    async def play():
        old = await server.accept()
        await old.welcome("one")
        late, _ = await old.expect("subscribe")
        asked.set()
        new = await server.accept()
        await new.welcome("two")
        await new.grant("chat", **GRANTED, offset=0)
        await trio.testing.wait_all_tasks_blocked()
        await old.say({"id": late, "subscribe": {**GRANTED, "offset": 0}})
        await old.closed()
        await new.publish("chat", 1)

    async def read(client):
        async with client.subscribe("chat", recover=True) as subscription:
            got.extend(await numbers(subscription, 1))
            done.set()

    asked, done, got = trio.Event(), trio.Event(), []
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client, trio.open_nursery() as nursery:
        nursery.start_soon(read, client)
        await asked.wait()
        await client.move()
        with trio.move_on_after(30):
            await done.wait()
        nursery.cancel_scope.cancel()
    assert [1] == got


async def test_leaving_while_moving_unsubscribes_at_both_nodes(server, settings, autojump_clock):
    async def play():
        old = await server.accept()
        await old.welcome("one")
        await old.grant("chat")
        number, _ = await old.expect("rpc")  # an open question keeps the old connection
        asked.set()
        new = await server.accept()
        await new.welcome("two")
        await new.grant("chat")
        left.append((await new.expect("unsubscribe"))[1])
        left.append((await old.expect("unsubscribe"))[1])
        await old.say({"id": number, "rpc": {}})

    asked, left = trio.Event(), []
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client, trio.open_nursery() as nursery:
        async with client.subscribe("chat"):
            nursery.start_soon(client.rpc, "slow")
            await asked.wait()
            await client.move()
            await trio.sleep(1)
    assert [{"channel": "chat"}] * 2 == left


async def test_a_channel_without_history_is_heard_from_one_node_at_a_time(
    server, settings, autojump_clock
):
    def said(n):
        return {"push": {"channel": "chat", "pub": {"data": {"n": n}}}}

    async def play():
        old = await server.accept()
        await old.welcome("one")
        await old.grant("chat")
        number, _ = await old.expect("rpc")  # an open question keeps the old connection
        asked.set()
        new = await server.accept()
        await new.welcome("two")
        await old.say(said(1))
        await trio.testing.wait_all_tasks_blocked()
        await new.grant("chat")
        await trio.testing.wait_all_tasks_blocked()
        await new.say(said(2))
        await old.say(said(2))
        await trio.testing.wait_all_tasks_blocked()
        await new.say(said(3))
        await old.say({"id": number, "rpc": {}})

    asked = trio.Event()
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client, trio.open_nursery() as nursery:
        async with client.subscribe("chat") as subscription:
            nursery.start_soon(client.rpc, "slow")
            await asked.wait()
            await client.move()
            assert [1, 2, 3] == await numbers(subscription, 3)
