"""A server that plays a script: it speaks the client protocol over memory streams."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio
import trio.testing
from attrs import define, field
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

Json = Any


@define(eq=False)
class Peer:
    """One connection, as the server sees it."""

    ws: WebSocketConnection
    stream: trio.abc.Stream
    commands: list[Json] = field(factory=list)
    headers: dict[str, str] = field(factory=dict)

    async def command(self) -> Json:
        """Return the next command; several may have come in one frame."""
        while not self.commands:
            frame = await self.ws.get_message()
            self.commands += [json.loads(line) for line in str(frame).split("\n")]
        return self.commands.pop(0)

    async def expect(self, kind: str) -> tuple[int, Json]:
        """Return number and request of the next command, which must be a `kind`."""
        command = await self.command()
        assert kind in command, f"expected {kind}, got {command}"
        return command.get("id", 0), command[kind]

    async def say(self, *replies: Json) -> None:
        """Send replies, all in one frame."""
        await self.ws.send_message("\n".join(map(json.dumps, replies)))

    async def welcome(self, client: str = "c1", **result: Json) -> Json:
        """Answer `connect`; returns its request."""
        number, request = await self.expect("connect")
        await self.say({"id": number, "connect": {"client": client, "version": "1", **result}})
        return request

    async def grant(self, channel: str, **result: Json) -> Json:
        """Answer the next command, which must subscribe to `channel`; returns its request."""
        number, request = await self.expect("subscribe")
        assert channel == request["channel"]
        await self.say({"id": number, "subscribe": result})
        return request

    async def refuse(self, kind: str, code: int, message: str, *, temporary: bool = False) -> Json:
        """Answer the next command with an error; returns its request."""
        number, request = await self.expect(kind)
        error = {"code": code, "message": message, "temporary": temporary}
        await self.say({"id": number, "error": error})
        return request

    async def publish(self, channel: str, *offsets: int) -> None:
        """Push publications whose payload is their offset."""
        await self.say(*({"push": {"channel": channel, "pub": pub(n)}} for n in offsets))

    async def close(self, code: int, reason: str = "") -> None:
        """Close with a code."""
        await self.ws.aclose(code, reason)

    async def vanish(self) -> None:
        """Drop the connection without a word."""
        await trio.aclose_forcefully(self.stream)

    async def closed(self) -> tuple[int, list[Json]]:
        """Wait for the client's goodbye; returns its code and what it sent before."""
        seen: list[Json] = []
        try:
            while True:
                seen.append(await self.command())
        except ConnectionClosed as end:
            return (end.reason.code if end.reason else 0), seen


def pub(offset: int) -> Json:
    return {"data": {"n": offset}, "offset": offset}


@define(eq=False)
class ScriptedServer:
    """Answers dials: the test accepts each one and plays its part.

    :param dials: when and where to the client dialled.
    """

    nursery: trio.Nursery
    dials: list[tuple[float, str]] = field(factory=list)
    is_down: bool = False
    _waiting: list[trio.abc.Stream] = field(factory=list)
    _came: trio.Event = field(factory=trio.Event)

    async def dial(self, url: str) -> trio.abc.Stream:
        """What `open_client` gets as `dial`."""
        self.dials.append((trio.current_time(), url))
        if self.is_down:
            raise ConnectionRefusedError("nobody listens")
        ours, theirs = trio.testing.memory_stream_pair()
        self._waiting.append(ours)
        self._came.set()
        return theirs

    async def stream(self) -> trio.abc.Stream:
        """Return the next connection as bytes."""
        while not self._waiting:
            self._came = trio.Event()
            await self._came.wait()
        return self._waiting.pop(0)

    async def accept(self) -> Peer:
        """Return the next connection, upgraded."""
        stream = await self.stream()
        request = await wrap_server_stream(self.nursery, stream)
        headers = {name.decode(): value.decode() for name, value in request.headers}
        return Peer(await request.accept(), stream, headers=headers)

    async def reject(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Refuse the next connection with an HTTP status."""
        request = await wrap_server_stream(self.nursery, await self.stream())
        await request.reject(status, extra_headers=headers)


@pytest.fixture
async def server() -> AsyncGenerator[ScriptedServer]:
    async with trio.open_nursery() as nursery:
        yield ScriptedServer(nursery)
        nursery.cancel_scope.cancel()


@pytest.fixture
def settings(server: ScriptedServer) -> dict[str, Any]:
    """Options of `open_client` for the scripted server: its dialler, and the shortest backoff."""
    return {"dial": server.dial, "uniform": lambda low, high: low}
