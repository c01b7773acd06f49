"""Requests are answered, refused, or late: each in its own way, and never for ever."""

from __future__ import annotations

import pytest
import trio

from wsmesh.client import (
    ClientInfo,
    Disconnected,
    NotConnected,
    OutcomeUnknown,
    PresenceStats,
    ReplyError,
    RequestTimeout,
    StreamPosition,
    open_client,
)

URL = "ws://node.test/connection/websocket"


async def answer(server, kind, result, welcome=None):
    """Play a server that answers one request; returns the request."""
    peer = await server.accept()
    await peer.welcome(**(welcome or {}))
    number, request = await peer.expect(kind)
    await peer.say({"id": number, kind: result})
    seen = []
    seen.append(request)
    return request


def serve(server, kind, result):
    seen = []

    async def play():
        seen.append(await answer(server, kind, result))

    server.nursery.start_soon(play)
    return seen


async def test_publish(server, settings, autojump_clock):
    seen = serve(server, "publish", {})
    async with open_client(URL, **settings) as client:
        await client.publish("chat", {"text": "é"})
    assert [{"channel": "chat", "data": {"text": "é"}}] == seen


async def test_rpc(server, settings, autojump_clock):
    seen = serve(server, "rpc", {"data": [1, 2]})
    async with open_client(URL, **settings) as client:
        assert [1, 2] == await client.rpc("sum", {"a": 1})
    assert [{"method": "sum", "data": {"a": 1}}] == seen


async def test_history(server, settings, autojump_clock):
    publication = {
        "data": "x",
        "offset": 7,
        "tags": {"k": "v"},
        "time": 5,
        "info": {"user": "u", "client": "c", "conn_info": {"name": "Ann"}},
    }
    seen = serve(server, "history", {"publications": [publication], "epoch": "e", "offset": 7})
    async with open_client(URL, **settings) as client:
        since = StreamPosition(offset=6, epoch="e")
        history = await client.history("chat", limit=10, since=since, reverse=True)
    assert StreamPosition(offset=7, epoch="e") == history.position
    (got,) = history.publications
    assert ("chat", "x", b'"x"', 7, {"k": "v"}, 5) == (
        got.channel,
        got.data,
        got.raw,
        got.offset,
        got.tags,
        got.time,
    )
    assert ClientInfo(user="u", client="c", conn_info={"name": "Ann"}) == got.info
    expected = {"channel": "chat", "limit": 10, "since": {"offset": 6, "epoch": "e"}}
    assert [{**expected, "reverse": True}] == seen


async def test_presence(server, settings, autojump_clock):
    serve(server, "presence", {"presence": {"c9": {"user": "u", "client": "c9"}}})
    async with open_client(URL, **settings) as client:
        assert {"c9": ClientInfo(user="u", client="c9")} == await client.presence("chat")


async def test_presence_stats(server, settings, autojump_clock):
    serve(server, "presence_stats", {"num_clients": 3, "num_users": 2})
    async with open_client(URL, **settings) as client:
        assert PresenceStats(clients=3, users=2) == await client.presence_stats("chat")


async def test_send_has_no_number_and_returns_when_written(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        seen.append(await peer.command())

    seen = []
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        await client.send({"hello": 1})
    await trio.testing.wait_all_tasks_blocked()
    assert [{"send": {"data": {"hello": 1}}}] == seen


async def test_an_error_reply_is_raised(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.refuse("publish", 111, "too many requests", temporary=True)

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        with pytest.raises(ReplyError) as caught:
            await client.publish("chat", 1)
    assert (111, "too many requests", True) == caught.value.args


async def test_concurrent_requests_get_their_own_answers(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        commands = [await peer.command() for _ in range(50)]
        replies = [{"id": c["id"], "rpc": {"data": c["rpc"]["method"]}} for c in commands]
        await peer.say(*reversed(replies))

    async def call(client, method):
        answers[method] = await client.rpc(method)

    answers = {}
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with trio.open_nursery() as nursery:
            for n in range(50):
                nursery.start_soon(call, client, f"m{n}")
    assert {f"m{n}": f"m{n}" for n in range(50)} == answers


async def test_requests_wait_for_the_connection(server, settings, autojump_clock):
    async def play():
        await server.reject(500, [])
        await answer(server, "publish", {})

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        await client.publish("chat", 1)
        assert 0.5 == trio.current_time()


async def test_a_request_without_a_connection_fails_at_its_deadline_and_says_why(
    server, settings, autojump_clock
):
    server.is_down = True
    async with open_client(URL, **settings) as client:
        with pytest.raises(NotConnected, match="nobody listens"):
            await client.publish("chat", 1)
        assert 5 == trio.current_time()


async def test_a_request_without_an_answer_fails_at_its_deadline(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        number, _ = await peer.expect("rpc")
        await trio.sleep(6)
        await peer.say({"id": number, "rpc": {"data": "too late"}})
        number, _ = await peer.expect("rpc")
        await peer.say({"id": number, "rpc": {"data": "in time"}})

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        with pytest.raises(RequestTimeout):
            await client.rpc("slow")
        assert 5 == trio.current_time()
        await trio.sleep(2)
        assert "in time" == await client.rpc("fast")


async def test_a_lost_answer_to_a_publish_is_not_guessed(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.expect("publish")
        await peer.vanish()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        with pytest.raises(OutcomeUnknown):
            await client.publish("chat", 1)


async def test_a_lost_answer_to_a_read_is_asked_for_again(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.expect("presence_stats")
        await peer.vanish()
        await answer(server, "presence_stats", {"num_clients": 1})

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        assert PresenceStats(clients=1, users=0) == await client.presence_stats("chat")


async def test_requests_of_a_client_that_is_over_raise_disconnected(
    server, settings, autojump_clock
):
    async with open_client(URL, **settings) as client:
        pass
    with pytest.raises(Disconnected, match="the client was closed"):
        await client.publish("chat", 1)


async def test_data_without_a_json_form_is_refused_before_it_is_sent(
    server, settings, autojump_clock
):
    async with open_client(URL, **settings) as client:
        with pytest.raises(TypeError):
            await client.publish("chat", object())


async def test_connect_carries_who_the_client_is(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        seen.append(peer.headers["x-tenant"])
        seen.append(await peer.welcome(session="s9"))

    seen = []
    server.nursery.start_soon(play)
    identity = {"data": {"lang": "en"}, "name": "bot", "version": "7"}
    async with open_client(URL, **settings, **identity, headers={"X-Tenant": "t"}) as client:
        await client.wait_connected()
        assert ("c1", "s9") == (client.client_id, client.session)
    assert ["t", identity | {"resume": {}}] == seen
