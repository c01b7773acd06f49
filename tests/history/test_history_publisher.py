"""What a publisher notes about a message is what it knows, whatever the answers were."""

from __future__ import annotations

import json
import zlib

import httpx2
import pytest
import trio

from tests.history import events as ev
from tests.history.check import read_log
from tests.history.client import HistoryReader
from tests.history.publisher import (
    Accepted,
    ProtocolPublisher,
    Publisher,
    Refused,
    ServerApi,
    Unknown,
    Unsent,
)
from tests.history.recorder import open_recorder
from wsmesh.client import Disconnected, NotConnected, OutcomeUnknown, RequestTimeout
from wsmesh.errors import ReplyError

AGAIN = Unknown("no answer", may_repeat=True)
DONE = Accepted(epoch="e", offset=4, durability="replicated")


async def noted(path, *answers):
    """Publish a message whose attempts are answered like that; return what was noted."""
    left = list(answers)

    async def attempt(channel, payload, key):
        assert (channel, payload["mid"], key) == ("a", "p-1", "p-1")
        await trio.lowlevel.checkpoint()
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    with open_recorder(path / "log.jsonl") as recorder:
        await Publisher(
            name="p", channels=["a"], recorder=recorder, attempt=attempt, has_keys=True, rate=10,
        ).publish("a")
    invoke, *outcome, _ = read_log(path / "log.jsonl")
    assert isinstance(invoke, ev.PubInvoke)
    assert invoke.key == "p-1"
    return [type(event).__name__ for event in outcome]


@pytest.mark.parametrize(("answers", "expected"), [
    ([DONE], ["PubOk"]),
    ([Unsent(), Unsent(), DONE], ["PubOk"]),
    ([AGAIN, DONE], ["PubInfo", "PubOk"]),
    ([AGAIN, Unsent(), AGAIN, DONE], ["PubInfo", "PubInfo", "PubOk"]),
    ([Refused()], ["PubFail"]),
    ([AGAIN, Refused()], ["PubInfo"]),
    ([Unsent()], ["PubFail"]),
    ([Unknown("lost", may_repeat=False), DONE], ["PubInfo"]),
], ids=[
    "accepted", "reached late", "tried again", "tried often", "refused", "refused after a doubt",
    "never sent", "a doubt that cannot be cleared",
])
async def test_only_what_is_certain_is_noted_so(answers, expected, tmp_path, autojump_clock):
    assert await noted(tmp_path, *answers) == expected


async def test_a_message_that_nobody_answers_is_given_up(tmp_path, autojump_clock):
    began = trio.current_time()

    assert set(await noted(tmp_path, AGAIN)) == {"PubInfo"}
    assert 20 <= trio.current_time() - began < 21


async def test_publishing_keeps_its_rate_and_finishes_what_is_on_its_way(tmp_path, autojump_clock):
    stop = trio.Event()
    attempts = []

    async def attempt(channel, payload, key):
        attempts.append((trio.current_time(), channel, payload, key))
        await trio.sleep(0.01)
        if len(attempts) == 4:
            stop.set()
        return Accepted()

    began = trio.current_time()
    with open_recorder(tmp_path / "log.jsonl") as recorder:
        publisher = Publisher(
            name="p", channels=["a", "b"], recorder=recorder, attempt=attempt, has_keys=False,
            rate=10, body_bytes=32,
        )
        await publisher.run(stop)

    times = [round(at - began, 3) for at, *_ in attempts]
    assert times == [0, 0.1, 0.2, 0.3]
    assert [channel for _, channel, _, _ in attempts] == ["a", "b", "a", "b"]
    assert publisher.acknowledged == 4
    events = list(read_log(tmp_path / "log.jsonl"))
    invokes = [event for event in events if isinstance(event, ev.PubInvoke)]
    assert [invoke.crc for invoke in invokes] == [
        zlib.crc32(payload["body"].encode()) for _, _, payload, _ in attempts
    ]
    assert all(len(payload["body"]) == 32 and not key for _, _, payload, key in attempts)


def api(handle) -> ServerApi:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(handle))
    return ServerApi(http, ["http://one", "http://two"], "the key")


async def test_an_api_call_carries_key_channel_and_payload():
    def answer(request):
        assert request.url == "http://one/api/publish"
        assert request.headers["X-API-Key"] == "the key"
        assert json.loads(request.content) == {
            "channel": "a", "data": {"mid": "p-1"}, "idempotency_key": "k",
        }
        result = {"epoch": "e", "offset": 4, "durability": "fsync"}
        return httpx2.Response(200, json={"result": result})

    accepted = await api(answer).publish("a", {"mid": "p-1"}, "k")

    assert accepted == Accepted("e", 4, "fsync")


async def test_an_answer_without_a_position_is_accepted_without_one():
    accepted = await api(lambda _: httpx2.Response(200, json={"result": {}})).publish("a", {}, "k")

    assert accepted == Accepted("", 0, "memory")


def raising(fault):
    def answer(request):
        raise fault("broken", request=request)

    return answer


@pytest.mark.parametrize(("answer", "fault", "moves_on"), [
    (raising(httpx2.ConnectError), Unsent, True),
    (raising(httpx2.ConnectTimeout), Unsent, True),
    (raising(httpx2.ReadTimeout), Unknown, True),
    (raising(httpx2.RemoteProtocolError), Unknown, True),
    (lambda _: httpx2.Response(503), Unknown, True),
    (lambda _: httpx2.Response(200, json={"error": {"code": 100, "message": ""}}), Unknown, True),
    (lambda _: httpx2.Response(200, json={"error": {"code": 107, "message": ""}}), Refused, False),
    (lambda _: httpx2.Response(401), AssertionError, False),
])
async def test_a_failure_means_what_is_known_of_it(answer, fault, moves_on):
    server = api(answer)

    with pytest.raises(fault):
        await server.publish("a", {}, "k")

    assert server.turn == moves_on


class Answering:
    """A client whose every request has the same end."""

    def __init__(self, fault: Exception | None) -> None:
        self.fault = fault

    async def publish(self, channel, payload):
        await trio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault

    async def history(self, channel, *, limit):
        await self.publish(channel, limit)


@pytest.mark.parametrize(("fault", "expected"), [
    (NotConnected(5, "refused"), Unsent),
    (OutcomeUnknown("lost"), Unknown),
    (RequestTimeout("late"), Unknown),
    (Disconnected(3503, "away"), Unknown),
    (ReplyError(100, "internal", True), Unknown),
    (ReplyError(103, "permission denied"), Refused),
])
async def test_a_publish_over_the_protocol_is_never_repeated(fault, expected):
    with pytest.raises(expected) as caught:
        await ProtocolPublisher(Answering(fault)).publish("a", {}, "")

    assert not getattr(caught.value, "may_repeat", False)


async def test_what_the_protocol_accepts_has_no_position():
    assert await ProtocolPublisher(Answering(None)).publish("a", {}, "") == Accepted()


@pytest.mark.parametrize("fault", [
    NotConnected(5, "refused"), ReplyError(100, "internal", True),
])
async def test_history_that_cannot_be_read_now_is_read_again(fault):
    with pytest.raises(Unknown):
        await HistoryReader(Answering(fault)).history("a")


async def test_a_channel_without_history_has_no_end():
    unavailable = ReplyError(108, "not available")

    assert await HistoryReader(Answering(unavailable)).history("a") == ("", 0, [])
