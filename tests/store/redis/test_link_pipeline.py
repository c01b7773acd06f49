"""The pipeline: answers reach who asked, in order; nothing is written twice or after its end."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.pipeline import CHUNK, Operation, Pipeline, discard
from wsmesh.store.redis.replies import pack
from wsmesh.store.redis.scripts import Script


class Box:
    """Collects what operations are settled with, and what the pipeline complains about."""

    def __init__(self, **bounds: int) -> None:
        self.outcomes: dict[Any, list[Any]] = {}
        self.refused: list[tuple[Operation, Exception]] = []
        self.faults: list[Exception] = []
        self.pipeline = Pipeline(
            max_in_flight=bounds.get("max_in_flight", 10_000),
            max_buffer=bounds.get("max_buffer", 1 << 24),
            refused=lambda operation, error: self.refused.append((operation, error)),
            faulty=self.faults.append,
        )

    def operation(
        self, name: Any, *command: Any, deadline: float = 1.0, **options: Any
    ) -> Operation:
        packed = pack(command or ("ECHO", str(name)))
        settle = self.outcomes.setdefault(name, []).append
        return Operation(packed, settle, deadline, **options)

    def put(self, name: Any, *command: Any, **options: Any) -> Operation:
        operation = self.operation(name, *command, **options)
        assert self.pipeline.put(operation)
        return operation


def said(data: bytes) -> list[list[bytes]]:
    reader = hiredis.Reader()
    reader.feed(data)
    commands = []
    while (command := reader.gets()) is not False:
        commands.append(command)
    return commands


REPLIES: dict[bytes, Any] = {
    b"+OK\r\n": b"OK", b":7\r\n": 7, b"$-1\r\n": None, b"_\r\n": None, b"#f\r\n": False,
    b"*2\r\n:1\r\n$1\r\nx\r\n": [1, b"x"], b"%1\r\n+a\r\n:1\r\n": {b"a": 1}, b"$0\r\n\r\n": b"",
}


@given(st.lists(st.sampled_from(sorted(REPLIES)), min_size=1), st.data())
def test_replies_reach_their_operations_in_order_however_they_are_split(replies, data):
    box = Box()
    for number in range(len(replies)):
        box.put(number)
    box.pipeline.take()
    stream = b"".join(replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        box.pipeline.feed(stream[start:end])

    assert box.outcomes == {n: [REPLIES[reply]] for n, reply in enumerate(replies)}
    assert len(box.pipeline) == 0
    assert box.pipeline.next_deadline() is None


def test_pushes_are_no_replies():
    box = Box()
    box.put("a")
    box.pipeline.take()
    box.pipeline.feed(b">2\r\n+invalidate\r\n_\r\n+OK\r\n")

    assert box.outcomes == {"a": [b"OK"]}


def test_a_reply_that_nobody_asked_for_is_a_protocol_error():
    with pytest.raises(hiredis.ProtocolError):
        Box().pipeline.feed(b"+OK\r\n")


def test_what_is_no_resp_is_a_protocol_error():
    box = Box()
    box.put("a")
    box.pipeline.take()

    with pytest.raises(hiredis.ProtocolError):
        box.pipeline.feed(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_error_reply_goes_to_who_decides_about_errors():
    box = Box()
    operation = box.put("a")
    box.pipeline.take()
    box.pipeline.feed(b"-WRONGTYPE no\r\n")

    ((found, error),) = box.refused
    assert found is operation
    assert isinstance(error, ResponseError)
    assert str(error) == "WRONGTYPE no"
    assert box.outcomes["a"] == []


def test_a_caller_that_raises_does_not_disturb_the_next():
    box = Box()
    box.pipeline.put(Operation(pack(("PING",)), lambda reply: 1 / 0, 1.0))
    box.put("next")
    box.pipeline.take()
    box.pipeline.feed(b"+PONG\r\n+OK\r\n")

    assert box.outcomes["next"] == [b"OK"]
    assert [type(fault) for fault in box.faults] == [ZeroDivisionError]


def test_operations_are_bounded_at_the_bound_and_not_before():
    box = Box(max_in_flight=2)
    box.put("a")
    box.pipeline.take()
    box.put("b")

    assert not box.pipeline.put(box.operation("c"))
    box.pipeline.feed(b"+OK\r\n")
    assert box.pipeline.put(box.operation("c"))


def test_unsent_bytes_are_bounded_at_the_bound_and_not_before():
    size = len(pack(("ECHO", "a")))
    box = Box(max_buffer=2 * size)
    box.put("a")
    box.put("b")

    assert box.pipeline.unsent == 2 * size
    assert not box.pipeline.put(box.operation("c"))
    box.pipeline.take()
    assert box.pipeline.unsent == 0
    assert box.pipeline.put(box.operation("c"))


def test_operations_of_the_link_itself_are_not_bounded():
    box = Box(max_in_flight=1)
    box.put("a")

    assert box.pipeline.put(box.operation("probe"), bounded=False)


def test_a_write_is_bounded_and_the_rest_can_still_be_withdrawn():
    box = Box()
    big = "x" * (CHUNK // 2)
    for name in "abc":
        box.put(name, "SET", name, big)
    assert [command[1] for command in said(box.pipeline.take())] == [b"a", b"b"]
    box.pipeline.refuse("gone")

    assert not box.pipeline.has_queued
    assert box.pipeline.unsent == 0
    assert not box.outcomes["c"][0].is_unknown
    assert box.outcomes["a"] == []


def test_what_was_cancelled_before_it_was_written_is_never_written():
    box = Box()
    box.put("a").settle = discard
    box.put("b")

    assert said(box.pipeline.take()) == [[b"ECHO", b"b"]]
    box.pipeline.feed(b"+OK\r\n")
    assert box.outcomes["b"] == [b"OK"]


def test_what_was_cancelled_after_it_was_written_keeps_its_place():
    box = Box()
    operation = box.put("a")
    box.put("b")
    box.pipeline.take()
    operation.settle = discard
    box.pipeline.feed(b"+1\r\n+2\r\n")

    assert box.outcomes == {"a": [], "b": [b"2"]}


def test_a_deadline_says_whether_the_operation_may_have_been_executed():
    box = Box()
    box.put("written")
    box.pipeline.take()
    box.put("queued")
    assert box.pipeline.expire(0.9) == 0
    assert box.pipeline.next_deadline() == 1.0

    assert box.pipeline.expire(1.0) == 2
    assert [box.outcomes[name][0].is_unknown for name in ("written", "queued")] == [True, False]
    assert box.pipeline.take() == b""
    assert box.pipeline.next_deadline() is None
    assert box.pipeline.expire(9.0) == 0


def test_a_late_reply_is_thrown_away():
    box = Box()
    box.put("late")
    box.put("patient", deadline=9.0)
    box.pipeline.take()
    box.pipeline.expire(1.0)
    box.pipeline.feed(b"+1\r\n+2\r\n")

    assert isinstance(box.outcomes["late"][0], StoreUnavailable)
    assert len(box.outcomes["late"]) == 1
    assert box.outcomes["patient"] == [b"2"]


def test_who_is_behind_a_patient_operation_is_as_patient():
    box = Box()
    box.put("wait", "WAIT", "1", "4000", deadline=5.0)
    box.put("get", deadline=1.0)
    box.pipeline.take()

    assert box.pipeline.expire(4.9) == 0
    assert box.pipeline.expire(5.0) == 2
    box.pipeline.feed(b":1\r\n+x\r\n")
    box.put("later", deadline=6.0)
    assert box.pipeline.next_deadline() == 6.0


SCRIPT = Script("s", "return 1")


def test_a_script_is_loaded_before_its_first_use_on_a_connection_and_only_then():
    box = Box()
    box.put("a", "EVALSHA", SCRIPT.sha, "0", script=SCRIPT)
    box.put("b", "EVALSHA", SCRIPT.sha, "0", script=SCRIPT)
    first = said(box.pipeline.take())
    box.pipeline.feed(b"+sha\r\n:1\r\n:2\r\n")

    assert [command[0] for command in first] == [b"SCRIPT", b"EVALSHA", b"EVALSHA"]
    assert first[0] == [b"SCRIPT", b"LOAD", SCRIPT.source.encode()]
    assert box.outcomes == {"a": [1], "b": [2]}
    box.pipeline.lose("reset", now=0.0)
    box.put("c", "EVALSHA", SCRIPT.sha, "0", script=SCRIPT)
    assert [command[0] for command in said(box.pipeline.take())] == [b"SCRIPT", b"EVALSHA"]


def test_a_forgotten_script_is_loaded_again():
    box = Box()
    box.put("a", "EVALSHA", SCRIPT.sha, "0", script=SCRIPT)
    box.pipeline.take()
    box.pipeline.forget_script(SCRIPT)
    box.put("b", "EVALSHA", SCRIPT.sha, "0", script=SCRIPT)

    assert [command[0] for command in said(box.pipeline.take())] == [b"SCRIPT", b"EVALSHA"]


def test_asking_goes_before_its_operation_once():
    box = Box()
    box.put("a").is_asking = True
    assert said(box.pipeline.take()) == [[b"ASKING"], [b"ECHO", b"a"]]
    box.pipeline.feed(b"+OK\r\n+x\r\n")
    assert box.outcomes == {"a": [b"x"]}


def test_a_lost_connection_leaves_the_written_unknown_and_the_queued_queued():
    box = Box()
    box.put("written")
    box.pipeline.take()
    box.pipeline.feed(b"$5\r\nhal")
    box.put("queued")
    box.pipeline.lose("reset", now=0.5)

    (failure,) = box.outcomes["written"]
    assert failure.is_unknown
    assert str(failure) == "reset"
    assert said(box.pipeline.take()) == [[b"ECHO", b"queued"]]
    box.pipeline.feed(b"+OK\r\n")
    assert box.outcomes["queued"] == [b"OK"]


def test_only_idempotent_operations_in_time_are_written_again_once_and_in_front():
    box = Box()
    for name in ("a", "b"):
        box.put(name, is_idempotent=True)
    box.put("once")
    box.pipeline.take()
    box.put("c")
    box.pipeline.lose("reset", now=0.5)
    assert [command[1] for command in said(box.pipeline.take())] == [b"a", b"b", b"c"]
    assert box.outcomes["once"][0].is_unknown
    box.pipeline.lose("reset again", now=0.6)
    assert box.pipeline.take() == b""
    assert all(box.outcomes[name][0].is_unknown for name in "abc")

    box.put("late", is_idempotent=True)
    box.pipeline.take()
    box.pipeline.lose("reset", now=1.0)
    assert box.outcomes["late"][0].is_unknown


@given(st.lists(st.sampled_from(["put", "take", "answer", "cancel", "expire", "lose", "refuse"])))
def test_every_operation_is_settled_at_most_once_and_none_is_forgotten(steps):
    box = Box()
    clock, cancelled, operations = 0.0, set(), []
    for step in steps:
        clock += 0.3
        match step:
            case "put":
                name = len(operations)
                operations.append(box.put(name, deadline=clock + 1, is_idempotent=name % 2 == 0))
            case "take":
                box.pipeline.take()
            case "answer":
                if box.pipeline.unanswered:
                    box.pipeline.feed(b"+OK\r\n")
            case "cancel":
                for name, operation in enumerate(operations):
                    if operation.settle is not discard and not box.outcomes[name]:
                        operation.settle = discard
                        cancelled.add(name)
                        break
            case "expire":
                box.pipeline.expire(clock)
            case "lose":
                box.pipeline.lose("lost", now=clock)
            case "refuse":
                box.pipeline.refuse("refused")
    box.pipeline.lose("lost", now=clock + 9)
    box.pipeline.refuse("refused")

    assert {name for name, found in box.outcomes.items() if not found} == cancelled
    assert all(len(found) <= 1 for found in box.outcomes.values())
    assert box.pipeline.unsent == 0
    assert len(box.pipeline) == 0
