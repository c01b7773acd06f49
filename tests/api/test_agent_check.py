"""HAProxy's agent-check: the words for each condition, and askers that behave badly."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from wsmesh.api.agent_check import AT_ONCE, AgentCheck, Condition, line


def condition(**changed: Any) -> Condition:
    facts: dict[str, Any] = {
        "refusing": "", "health": 1.0, "capacity": 9000, **changed,
    }
    return Condition(**facts)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (condition(), b"ready up 100% maxconn:9000\n"),
        (condition(health=0.754), b"ready up 75% maxconn:9000\n"),
        (condition(health=0.0), b"ready up 1% maxconn:9000\n"),
        (condition(refusing="full"), b"ready up 0% maxconn:9000\n"),
        (condition(refusing="draining"), b"drain up\n"),
        (condition(refusing="fenced"), b"maint\n"),
    ],
)
def test_the_line_says_how_the_node_is(how: Condition, words: bytes) -> None:
    assert line(how) == words


@asynccontextmanager
async def answering(how: Callable[[], Condition]) -> AsyncGenerator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(AgentCheck(listening, how).run)
        yield listening.getsockname()[1]
        nursery.cancel_scope.cancel()


async def ask(port: int, said: bytes = b"") -> bytes:
    answer = b""
    with trio.fail_after(5):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            if said:
                await stream.send_all(said)
            async for part in stream:
                answer += part
    return answer


async def test_everybody_who_connects_is_answered() -> None:
    now = [condition()]
    async with answering(lambda: now[0]) as port:
        assert await ask(port) == b"ready up 100% maxconn:9000\n"
        now[0] = condition(refusing="draining")
        assert await ask(port, b"how are you?\n") == b"drain up\n"


async def test_askers_that_never_close_hold_nobody_for_long() -> None:
    async with answering(condition) as port, trio.open_nursery() as nursery:
        silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(AT_ONCE)]
        with trio.fail_after(10):
            assert (await ask(port)).startswith(b"ready")
        for stream in silent:
            nursery.start_soon(stream.aclose)
