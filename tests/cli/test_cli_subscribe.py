"""`subscribe` prints publications to standard output and everything else to standard error."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import click
import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, serve_websocket

from wsmesh.cli.following import follow, line_of
from wsmesh.client import Disconnected, Publication

Subscriber = Callable[[WebSocketConnection, dict], Awaitable[None]]

follow_news = partial(
    follow, channel="news", token="", subscription_token="", data=None, count=None, offsets=False
)


async def publish(ws: WebSocketConnection, offset: int, data: str) -> None:
    await ws.send_message(
        f'{{"push":{{"channel":"news","pub":{{"data":{data},"offset":{offset}}}}}}}'
    )


@asynccontextmanager
async def open_server(
    subscribed: Subscriber, asked: list[dict] | None = None
) -> AsyncGenerator[str]:
    """A server that lets everybody connect and does as `subscribed` says with a subscribe."""

    async def converse(request) -> None:
        ws = await request.accept(subprotocol=None)
        try:
            while True:
                for line in (await ws.get_message()).splitlines():
                    command = json.loads(line)
                    if asked is not None and command:
                        asked.append(command)
                    if "connect" in command:
                        reply = {"client": "c1", "version": "0", "ping": 25}
                        await ws.send_message(json.dumps({"id": command["id"], "connect": reply}))
                    elif "subscribe" in command:
                        await subscribed(ws, command)
        except ConnectionClosed:
            return

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(serve_websocket, converse, "127.0.0.1", 0, ssl_context=None)
        )
        yield f"ws://127.0.0.1:{server.port}/connection/websocket"
        nursery.cancel_scope.cancel()


async def test_publications_are_lines_on_standard_output_and_the_rest_is_not(capsys):
    async def subscribed(ws, command):
        await ws.send_message(json.dumps({"id": command["id"], "subscribe": {}}))
        await publish(ws, 1, '{"text":\n  "hello"}')
        await publish(ws, 2, '"é"')
        await publish(ws, 3, "3")

    asked: list[dict] = []
    async with open_server(subscribed, asked) as url:
        await follow_news(
            url, count=2, token="t1", subscription_token="t2", data=b'{"a": [1]}'
        )
    printed = capsys.readouterr()

    assert printed.out.splitlines() == ['{"text":"hello"}', '"é"']
    assert f"# connected to {url} as c1" in printed.err
    assert "# subscribed to news\n" in printed.err
    assert asked[0]["connect"]["token"] == "t1"
    assert asked[0]["connect"]["data"] == {"a": [1]}
    assert asked[1]["subscribe"]["token"] == "t2"
    assert asked[1]["subscribe"]["recoverable"] is True


async def test_a_refused_subscription_is_an_error(capsys):
    async def refused(ws, command):
        error = {"code": 103, "message": "permission denied"}
        await ws.send_message(json.dumps({"id": command["id"], "error": error}))

    async with open_server(refused) as url:
        with pytest.raises(click.ClickException, match=r"refused 'news': permission denied"):
            await follow_news(url)

    assert capsys.readouterr().out == ""


async def test_an_unsubscribe_by_the_server_is_an_error():
    async def unsubscribed(ws, command):
        await ws.send_message(json.dumps({"id": command["id"], "subscribe": {}}))
        push = {"channel": "news", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}
        await ws.send_message(json.dumps({"push": push}))

    async with open_server(unsubscribed) as url:
        with pytest.raises(click.ClickException, match=r"unsubscribed: .* \(code 2000\)"):
            await follow_news(url)


async def test_a_disconnect_for_good_ends_it():
    async def disconnected(ws, command):
        await ws.aclose(3500, "invalid token")

    async with open_server(disconnected) as url:
        with pytest.raises(Disconnected, match="invalid token"):
            await follow_news(url)


@pytest.mark.parametrize(
    ("offsets", "line"), [(False, '{"a":[1,2]}'), (True, '7\t{"a":[1,2]}')]
)
def test_a_publication_is_one_line(offsets, line):
    publication = Publication(channel="a", raw=b'{ "a":\n[1, 2] }', offset=7)

    assert line_of(publication, offsets=offsets) == line
