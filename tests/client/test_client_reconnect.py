"""A lost connection comes back when and where the server advises, or not at all."""

from __future__ import annotations

import pytest
import trio

from wsmesh.client import (
    Backoff,
    Connected,
    Connecting,
    Deadlines,
    Disconnected,
    NotConnected,
    open_client,
)

URL = "ws://node.test/connection/websocket"


def intervals(server):
    times = [moment for moment, _ in server.dials]
    return [round(later - earlier, 3) for earlier, later in zip(times, times[1:], strict=False)]


async def test_attempts_are_spread_over_growing_windows(server, settings, autojump_clock):
    server.is_down = True
    windows = []

    def uniform(low, high):
        windows.append((low, high))
        return high

    settings["uniform"] = uniform
    async with open_client(URL, **settings, backoff=Backoff(minimum=0.5, maximum=20)):
        await trio.sleep(80)
    assert [(0.5, 1), (0.5, 2), (0.5, 4), (0.5, 8), (0.5, 16), (0.5, 20)] == windows[:6]
    assert [1, 2, 4, 8, 16, 20, 20] == intervals(server)[:7]


async def test_a_working_connection_resets_the_backoff(server, settings, autojump_clock):
    settings["uniform"] = lambda low, high: high

    async def play():
        await server.reject(500, [])
        await server.reject(500, [])
        for _ in range(2):
            peer = await server.accept()
            await peer.welcome()
            await peer.vanish()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings):
        await trio.sleep(6)
    assert [1, 2, 1, 1] == intervals(server)[:4]


@pytest.mark.parametrize("code", [3000, 3001, 3008, 3010, 3011, 3012, 4000, 4499, 1000, 1001, 1011])
async def test_reconnect_codes_come_back(server, settings, autojump_clock, code):
    back = trio.Event()

    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.close(code, "come back")
        peer = await server.accept()
        await peer.welcome()
        back.set()

    server.nursery.start_soon(play)
    seen = []
    async with open_client(URL, **settings, observe=seen.append):
        await back.wait()
        await trio.sleep(1)
    assert [Connected, Connecting, Connected] == [type(event) for event in seen]
    assert (code, "come back", 0.5) == (seen[1].code, seen[1].reason, seen[1].delay)


@pytest.mark.parametrize("code", [3500, 3501, 3503, 3999, 4500, 4999, 1002, 1003, 1007, 1008, 1009])
async def test_terminal_codes_end_the_body_and_the_context(server, settings, autojump_clock, code):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.close(code, "stay away")

    server.nursery.start_soon(play)
    with pytest.raises(Disconnected) as caught:
        async with open_client(URL, **settings):
            await trio.sleep_forever()
    assert (code, "stay away") == (caught.value.code, caught.value.reason)
    assert 1 == len(server.dials)


async def test_iterators_raise_disconnected(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("chat")
        await peer.say({"push": {"channel": "chat", "pub": {"data": 1}}})
        await peer.close(3503, "force disconnect")

    server.nursery.start_soon(play)
    seen = []
    with pytest.raises(Disconnected):
        async with open_client(URL, **settings) as client:
            async with client.subscribe("chat") as subscription:
                try:
                    async for publication in subscription:
                        seen.append(publication.data)
                except Disconnected as end:
                    seen.append(end.code)
                    raise
    assert [1, 3503] == seen


async def test_a_terminal_disconnect_push_ends_the_client(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.say({"push": {"disconnect": {"code": 3503, "reason": "force disconnect"}}})

    server.nursery.start_soon(play)
    with pytest.raises(Disconnected, match="force disconnect"):
        async with open_client(URL, **settings):
            await trio.sleep_forever()


async def test_a_refused_connect_is_terminal_unless_temporary(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.refuse("connect", 100, "internal server error", temporary=True)
        peer = await server.accept()
        await peer.refuse("connect", 103, "permission denied")

    server.nursery.start_soon(play)
    with pytest.raises(Disconnected) as caught:
        async with open_client(URL, **settings):
            await trio.sleep_forever()
    assert 103 == caught.value.code
    assert [0.5] == intervals(server)


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_honoured_with_jitter_on_top(server, settings, autojump_clock, status):
    settings["uniform"] = lambda low, high: high

    async def play():
        await server.reject(status, [(b"Retry-After", b"7")])
        await (await server.accept()).welcome()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        await client.wait_connected(within=30)
    assert [7.5] == intervals(server)


async def test_a_refusal_whose_body_ends_with_the_connection_is_understood(
    server, settings, autojump_clock
):
    async def play():
        stream = await server.stream()
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\n\r\ncome later")
        await stream.aclose()
        await (await server.accept()).welcome()

    server.nursery.start_soon(play)
    seen = []
    async with open_client(URL, **settings, observe=seen.append) as client:
        await client.wait_connected(within=30)
    assert "handshake answered HTTP 503" == seen[0].reason
    assert [3] == intervals(server)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 10"])
async def test_a_server_that_is_none_costs_one_attempt_not_the_deadline(
    server, settings, autojump_clock, answer
):
    async def play():
        stream = await server.stream()
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()
        await (await server.accept()).welcome()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        await client.wait_connected()
    assert [0.5] == intervals(server)


async def test_a_mute_server_costs_the_connect_deadline(server, settings, autojump_clock):
    async def play():
        await server.stream()  # no upgrade
        await server.accept()  # no answer to connect

    server.nursery.start_soon(play)
    async with open_client(URL, **settings, deadlines=Deadlines(connect=3)) as client:
        with pytest.raises(NotConnected, match="did not answer connect"):
            await client.wait_connected(within=8)
    assert [3.5, 3.5] == intervals(server)


async def test_a_missing_ping_means_that_the_connection_is_broken(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome(ping=25, pong=True)
        for _ in range(3):
            await trio.sleep(25)
            await peer.say({})
            assert {} == await peer.command()
        await (await server.accept()).welcome()

    server.nursery.start_soon(play)
    seen = []
    async with open_client(URL, **settings, observe=seen.append):
        await trio.sleep(120)
    assert [75 + 25 + 10 + 0.5] == intervals(server)
    assert "no ping within 35 s" == seen[1].reason


async def test_pings_are_not_answered_unless_asked_for(server, settings, autojump_clock):
    ending = []

    async def play():
        peer = await server.accept()
        await peer.welcome(ping=25, pong=False)
        await peer.say({})
        ending.append(await peer.closed())

    server.nursery.start_soon(play)
    async with open_client(URL, **settings):
        await trio.sleep(10)
    await trio.testing.wait_all_tasks_blocked()
    assert [(1000, [])] == ending


async def test_what_is_no_frame_of_the_protocol_ends_the_client(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.ws.send_message("<html>")

    server.nursery.start_soon(play)
    with pytest.raises(Disconnected, match="not a frame of the client protocol"):
        async with open_client(URL, **settings):
            await trio.sleep_forever()


async def test_a_fault_of_the_body_is_not_wrapped(server, settings, autojump_clock):
    with pytest.raises(KeyError):
        async with open_client(URL, **settings):
            raise KeyError("mine")


async def test_a_url_that_is_none_is_refused_at_once(settings):
    with pytest.raises(ValueError, match="expected ws://"):
        async with open_client("http://node.test/", **settings):
            pass
