"""Tokens: fetched when missing, replaced when expired, renewed in band, given up when refused."""

from __future__ import annotations

import pytest
import trio

from wsmesh.client import Disconnected, ReplyError, TokenUnavailable, Unauthorized, open_client

URL = "ws://node.test/connection/websocket"


def tokens(*answers):
    """Return a token callback that gives `answers` in turn, raising the exceptions among them."""
    left = list(answers)

    async def get_token(*channel):
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return get_token


async def test_a_missing_token_is_fetched_before_the_first_attempt(
    server, settings, autojump_clock
):
    async def play():
        request = await (await server.accept()).welcome()
        assert "fresh" == request["token"]

    server.nursery.start_soon(play)
    async with open_client(URL, **settings, get_token=tokens("fresh")) as client:
        await client.wait_connected()


async def test_an_expired_token_is_replaced_at_once(server, settings, autojump_clock):
    async def play():
        request = await (await server.accept()).refuse("connect", 109, "token expired")
        assert "old" == request["token"]
        request = await (await server.accept()).welcome()
        assert "new" == request["token"]

    server.nursery.start_soon(play)
    async with open_client(URL, **settings, token="old", get_token=tokens("new")) as client:
        await client.wait_connected()
        assert 0 == trio.current_time()


async def test_an_expired_token_that_cannot_be_replaced_ends_the_client(
    server, settings, autojump_clock
):
    async def play():
        await (await server.accept()).refuse("connect", 109, "token expired")

    server.nursery.start_soon(play)
    with pytest.raises(Disconnected) as caught:
        async with open_client(URL, **settings, token="old"):
            await trio.sleep_forever()
    assert 109 == caught.value.code


async def test_tokens_that_always_expire_are_asked_for_with_backoff(
    server, settings, autojump_clock
):
    async def play():
        while True:
            await (await server.accept()).refuse("connect", 109, "token expired")

    server.nursery.start_soon(play)
    async with open_client(URL, **settings, get_token=tokens(*("bad",) * 99)):
        await trio.sleep(10.2)
    assert 22 == len(server.dials)


async def test_a_connection_token_is_renewed_before_it_ends(server, settings, autojump_clock):
    refreshed = []

    async def play():
        peer = await server.accept()
        await peer.welcome(expires=True, ttl=60)
        for ttl in (30, 0):
            number, request = await peer.expect("refresh")
            refreshed.append((trio.current_time(), request["token"]))
            await peer.say({"id": number, "refresh": {"expires": ttl > 0, "ttl": ttl}})
        await peer.closed()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings, token="a", get_token=tokens("b", "c")):
        await trio.sleep(300)
    assert [(60, "b"), (90, "c")] == refreshed
    assert 1 == len(server.dials)


async def test_a_failing_callback_is_reported_and_asked_again(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome(expires=True, ttl=60)
        number, request = await peer.expect("refresh")
        assert ("b", 60.5) == (request["token"], trio.current_time())
        await peer.say({"id": number, "refresh": {}})

    server.nursery.start_soon(play)
    seen = []
    fault = OSError("backend down")
    get_token = tokens(fault, "b")
    async with open_client(URL, **settings, token="a", get_token=get_token, observe=seen.append):
        await trio.sleep(70)
    assert [TokenUnavailable(channel="", fault=fault)] == seen[1:]


async def test_a_callback_that_hangs_does_not_hang_the_client(server, settings, autojump_clock):
    async def hang():
        await trio.sleep_forever()

    seen = []
    async with open_client(URL, **settings, get_token=hang, observe=seen.append):
        await trio.sleep(25)
    assert 2 == seen.count(TokenUnavailable(channel="", fault=None))
    assert [] == server.dials


@pytest.mark.parametrize("answer", ["", Unauthorized("logged out")])
async def test_a_user_without_a_token_is_disconnected(server, settings, autojump_clock, answer):
    async def play():
        await (await server.accept()).welcome(expires=True, ttl=60)

    server.nursery.start_soon(play)
    with pytest.raises(Disconnected, match="unauthorized"):
        async with open_client(URL, **settings, token="a", get_token=tokens(answer)):
            await trio.sleep_forever()
    assert 60 == trio.current_time()


async def test_a_close_for_expiry_fetches_a_new_token(server, settings, autojump_clock):
    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.close(3014, "state invalidated")
        request = await (await server.accept()).welcome()
        assert "b" == request["token"]
        done.set()

    done = trio.Event()
    server.nursery.start_soon(play)
    async with open_client(URL, **settings, token="a", get_token=tokens("b")):
        await done.wait()


async def test_a_subscription_token_is_fetched_replaced_and_renewed(
    server, settings, autojump_clock
):
    asked = []

    async def get_token(channel):
        asked.append(channel)
        return f"t{len(asked)}"

    async def play():
        peer = await server.accept()
        await peer.welcome()
        request = await peer.refuse("subscribe", 109, "token expired")
        assert "t1" == request["token"]
        request = await peer.grant("private", expires=True, ttl=40)
        assert "t2" == request["token"]
        number, request = await peer.expect("sub_refresh")
        assert ({"channel": "private", "token": "t3"}, 40) == (request, trio.current_time())
        await peer.say({"id": number, "sub_refresh": {"expires": True, "ttl": 20}})
        await peer.expect("sub_refresh")
        assert 60 == trio.current_time()
        done.set()

    done = trio.Event()
    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        async with client.subscribe("private", get_token=get_token):
            await done.wait()
    assert ["private"] * 4 == asked


@pytest.mark.parametrize("answer", ["", Unauthorized("not yours")])
async def test_a_subscription_without_a_token_is_refused_here(
    server, settings, autojump_clock, answer
):
    async def play():
        await (await server.accept()).welcome()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        with pytest.raises(ReplyError, match="unauthorized"):
            async with client.subscribe("private", get_token=tokens(answer)):
                pass


async def test_a_subscription_that_may_not_be_renewed_ends(server, settings, autojump_clock):
    left = []

    async def play():
        peer = await server.accept()
        await peer.welcome()
        await peer.grant("private", expires=True, ttl=40)
        left.append(await peer.expect("unsubscribe"))
        await peer.closed()

    server.nursery.start_soon(play)
    async with open_client(URL, **settings) as client:
        get_token = tokens("a", "")
        async with client.subscribe("private", get_token=get_token) as subscription:
            assert [] == [publication async for publication in subscription]
            assert "unauthorized" == subscription.ended.reason
    assert "private" == left[0][1]["channel"]
