"""Backoff, advice, frames and buffers: decisions of the client that need no connection."""

from __future__ import annotations

import random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.client import advice
from wsmesh.client.backoff import Backoff
from wsmesh.client.buffer import Buffer
from wsmesh.client.codec import decode_frame, encode_frame
from wsmesh.client.events import Dropped, Subscribed, merged
from wsmesh.errors import ProtocolViolation
from wsmesh.protocol.messages import Command, ErrorObject, PublishRequest, SendRequest

NOW = 1_700_000_000.0


@given(st.integers(0, 10_000), st.integers(), st.floats(0, 300))
def test_a_delay_stays_inside_its_window(attempt, seed, asked):
    backoff = Backoff(minimum=0.5, maximum=20)
    delay = backoff.delay(attempt, random.Random(seed).uniform, at_least=asked)
    assert max(0.5 if asked == 0 else asked, 0) <= delay <= asked + 20


def test_clients_that_lost_one_server_do_not_come_back_together():
    uniform = random.Random(1).uniform
    delays = [Backoff().delay(0, uniform) for _ in range(1000)]
    assert 0.5 <= min(delays) < 0.51 and 0.99 < max(delays) <= 1
    assert 400 < sum(delay < 0.75 for delay in delays) < 600


def test_a_ceiling_below_the_floor_is_refused():
    with pytest.raises(ValueError, match="maximum must be at least minimum"):
        Backoff(minimum=5, maximum=1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"7", 7),
        (b" 0 ", 0),
        (b"99999999999999999999", 300),
        (b"Tue, 14 Nov 2023 22:13:50 GMT", 30),
        (b"Tue, 14 Nov 2023 22:00:00 GMT", 0),
        (b"Fri, 14 Nov 2098 22:00:00 GMT", 300),
        (b"soon", 0),
        (b"-5", 0),
        (b"1.5", 0),
        ("²".encode("latin-1"), 0),
        (b"", 0),
    ],
)
def test_retry_after_is_a_bounded_number_of_seconds(value, seconds):
    assert seconds == advice.retry_after(value, NOW)


@given(st.binary())
def test_any_retry_after_is_survived(value):
    assert 0 <= advice.retry_after(value, NOW) <= advice.LONGEST_ADVICE


@given(st.integers(3000, 4999))
def test_only_the_upper_halves_of_the_disconnect_codes_are_terminal(code):
    assert (code % 1000 >= 500) == advice.of_close(code, "").terminal


@pytest.mark.parametrize(
    ("error", "terminal"),
    [
        (ErrorObject(109, "token expired"), False),
        (ErrorObject(100, "internal", temporary=True), False),
        (ErrorObject(103, "permission denied"), True),
        (ErrorObject(101, "unauthorized"), True),
    ],
)
def test_a_refused_connect_is_terminal_when_retrying_makes_no_sense(error, terminal):
    assert terminal == advice.of_connect_error(error).terminal


def test_several_commands_share_a_frame_a_line_each():
    commands = [
        Command(id=1, publish=PublishRequest(channel="a", data={"line": "a\nb"})),
        Command(send=SendRequest(data=1)),
        Command(),
    ]
    expected = '{"id":1,"publish":{"channel":"a","data":{"line":"a\\nb"}}}\n{"send":{"data":1}}\n{}'
    assert expected == encode_frame(commands)


@pytest.mark.parametrize("frame", ['{"id":1}\n{}', '{"id":1}\n{}\n', b'{"id":1}\n{}'])
def test_several_replies_share_a_frame(frame):
    assert [1, 0] == [reply.id for reply in decode_frame(frame)]


@given(st.one_of(st.text(), st.binary()))
def test_any_frame_is_replies_or_a_violation(frame):
    try:
        decode_frame(frame)
    except ProtocolViolation as violation:
        assert 1007 == violation.code


async def test_a_buffer_gives_what_it_has_before_it_ends():
    buffer = Buffer()
    buffer.put(1)
    buffer.close(KeyError("end"))
    buffer.put(2)
    assert 1 == await buffer.take()
    for _ in range(2):
        with pytest.raises(KeyError):
            await buffer.take()


async def test_a_cancelled_take_loses_nothing():
    buffer = Buffer()
    buffer.put(1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await buffer.take()
    assert scope.cancelled_caught
    assert 1 == await buffer.take()


@pytest.mark.parametrize(("count", "lost"), [(3, 0), (4, 1), (9, 6)])
async def test_a_buffer_of_the_newest_counts_what_it_dropped(count, lost):
    buffer = Buffer(newest=3)
    for n in range(count):
        buffer.put(n)
    if lost:
        assert Dropped(count=lost) == await buffer.take()
    assert list(range(lost, count)) == [await buffer.take() for _ in range(3)]


async def test_each_of_two_readers_gets_its_share():
    buffer, got = Buffer(), []

    async def read():
        got.append(await buffer.take())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        buffer.put(1)
        buffer.put(2)
    assert [1, 2] == sorted(got)


GAP = {"was_recovering": True, "recovered": False, "is_first": False}
KEPT = {"was_recovering": True, "recovered": True, "is_first": False}
FIRST = {"is_first": True}


@pytest.mark.parametrize(
    ("unread", "new", "is_gap"),
    [
        (FIRST, KEPT, False),
        (FIRST, GAP, True),
        (KEPT, KEPT, False),
        (GAP, KEPT, True),
        (GAP, GAP, True),
        (KEPT, {"is_first": False}, True),
    ],
)
def test_merged_outcomes_keep_the_gap(unread, new, is_gap):
    both = merged(Subscribed(channel="c", **unread), Subscribed(channel="c", **new))
    assert is_gap == both.is_gap


def test_outcomes_of_two_channels_are_not_merged():
    assert merged(Subscribed(channel="a"), Subscribed(channel="b")) is None
