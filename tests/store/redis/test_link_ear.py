"""One pub/sub connection: which answer belongs to which question."""

from __future__ import annotations

from collections.abc import Sequence

import trio
from trio.testing import memory_stream_pair, wait_all_tasks_blocked

from wsmesh.config.redis import RedisSection
from wsmesh.store.redis.ear import Ear, Message
from wsmesh.store.redis.ledger import Ledger, Request
from wsmesh.store.redis.settings import settings_of
from wsmesh.store.redis.totals import Totals


class Listening:
    """What an ear tells its owner."""

    def __init__(self) -> None:
        self.refusals: list[tuple[tuple[bytes, ...], Exception | None]] = []

    def heard(self, restored: list[bytes], messages: list[Message]) -> None:
        """Not looked at here."""

    def look_again(self) -> None:
        """Not looked at here."""

    def refused(self, ear: Ear, channels: Sequence[bytes], error: Exception | None) -> None:
        """Keep it."""
        self.refusals.append((tuple(channels), error))


def an_ear(ledger: Ledger, listening: Listening) -> Ear:
    bounds = settings_of(RedisSection(url="redis://unused"), "test").bounds
    return Ear(
        None, ledger, listening, bounds=bounds, slot_of=lambda channel: 0, totals=Totals()
    )


def push(kind: str, channel: str) -> bytes:
    return f">3\r\n${len(kind)}\r\n{kind}\r\n${len(channel)}\r\n{channel}\r\n:1\r\n".encode()


def pong(number: int) -> bytes:
    return f"${len(str(number))}\r\n{number}\r\n".encode()


async def test_a_late_answer_to_a_call_that_gave_up_confirms_no_later_call(nursery) -> None:
    """Between the two answers the channel is left: a message then is not heard."""
    ledger, listening = Ledger(), Listening()
    ear = an_ear(ledger, listening)
    server, stream = memory_stream_pair()
    read, write, _ = ear.came_up(None)
    nursery.start_soon(read, stream)
    nursery.start_soon(write, stream)

    def call() -> tuple[Request, list[Exception | None]]:
        outcomes: list[Exception | None] = []
        request = Request((b"a",), outcomes.append)
        ledger.want(request)
        ledger.ask(b"a", ear)
        ear.wish(b"a", subscribed=True)
        return request, outcomes

    first, _ = call()
    await wait_all_tasks_blocked()
    assert ledger.withdraw(first, TimeoutError()) == [(b"a", ear)]
    ear.wish(b"a", subscribed=False)
    await wait_all_tasks_blocked()
    _, outcomes = call()
    await wait_all_tasks_blocked()
    assert (await server.receive_some()).count(b"PING") == 3

    await server.send_all(push("ssubscribe", "a") + pong(1))
    await wait_all_tasks_blocked()
    assert outcomes == [] and listening.refusals == []
    await server.send_all(push("sunsubscribe", "a") + pong(2))
    await wait_all_tasks_blocked()
    assert outcomes == [] and listening.refusals == []
    await server.send_all(push("ssubscribe", "a") + pong(3))
    await wait_all_tasks_blocked()
    assert outcomes == [None]
    assert listening.refusals == []


async def test_a_late_refusal_does_not_refuse_the_later_call(nursery) -> None:
    ledger, listening = Ledger(), Listening()
    ear = an_ear(ledger, listening)
    server, stream = memory_stream_pair()
    read, write, _ = ear.came_up(None)
    nursery.start_soon(read, stream)
    nursery.start_soon(write, stream)
    for _ in range(2):
        ledger.ask(b"a", ear)
        ear.wish(b"a", subscribed=True)
        await wait_all_tasks_blocked()
    with trio.fail_after(1):
        await server.send_all(b"-NOPERM no\r\n" + pong(1))
        await wait_all_tasks_blocked()
        assert listening.refusals == []
        await server.send_all(b"-NOPERM no\r\n" + pong(2))
        await wait_all_tasks_blocked()
    assert [channels for channels, _ in listening.refusals] == [(b"a",)]
