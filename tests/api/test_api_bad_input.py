"""Backends' mistakes: every one is answered with its code, and nothing impossible gets through."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.operations import RecordingOperations
from wsmesh.api.dispatch import call, call_named
from wsmesh.api.methods import BATCH_LIMIT
from wsmesh.security.payload import compact

POSITION = {"offset": 1, "epoch": "e"}
PUBLISHING = {
    "data": {"n": 1}, "b64data": "MQ==", "skip_history": True, "tags": {"t": "v"},
    "idempotency_key": "k", "delta": True, "version": 1, "version_epoch": "e",
}
WHOM = {"user": "u", "client": "c", "session": "s"}
VALID: dict[str, dict[str, Any]] = {
    "publish": {"channel": "c", **PUBLISHING},
    "broadcast": {"channels": ["c"], **PUBLISHING},
    "subscribe": {
        "channel": "c", **WHOM, "info": 1, "b64info": "MQ==", "data": 1, "b64data": "MQ==",
        "recover_since": POSITION, "expire_at": 5, "override": {"presence": {"value": True}},
    },
    "unsubscribe": {"channel": "c", **WHOM},
    "disconnect": {**WHOM, "whitelist": ["c"], "disconnect": {"code": 4000, "reason": "r"}},
    "refresh": {**WHOM, "expired": False, "expire_at": 5, "info": 1},
    "presence": {"channel": "c"},
    "presence_stats": {"channel": "c"},
    "history": {"channel": "c", "limit": 1, "since": POSITION, "reverse": True},
    "history_remove": {"channel": "c"},
    "channels": {"pattern": "*"},
    "info": {},
    "rpc": {"method": "known", "params": 1, "data": 1},
    "revoke_token": {"uid": "t", "expire_at": 5},
    "invalidate_user_tokens": {"user": "u", "expire_at": 5, "issued_before": 5},
}
"""A request of each method with every field that it has."""

HOSTILE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10**400, -(10**400), 2**63, 2**64, -(2**63), 2**31, 2**53]),
    st.sampled_from(["", "é", "%%", "MQ", "AAAA", "\0", "\x1b[31m", "x" * 1000]), st.text(),
    st.just([]), st.just({}), st.lists(st.integers()), st.dictionaries(st.text(), st.text()),
    st.fixed_dictionaries({"offset": st.integers(), "epoch": st.text()}),
    st.fixed_dictionaries({"code": st.integers(), "reason": st.text()}),
)


def answered(method: str, body: bytes) -> tuple[dict[str, Any], RecordingOperations]:
    operations = RecordingOperations()

    async def play() -> bytes:
        return (await call(operations, method, body))[0]

    found: dict[str, Any] = json.loads(trio.run(play))
    return found, operations


def integers_in(value: Any) -> list[int]:
    """Every integer that was handed over, in whatever it is wrapped."""
    if isinstance(value, int):
        return [value]
    if isinstance(value, (str, bytes, float)) or value is None:
        return []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [number for each in value for number in integers_in(each)]
    return [
        number for name in dir(value) if not name.startswith("_")
        for number in integers_in(getattr(value, name)) if not callable(getattr(value, name))
    ]


def test_the_requests_here_are_accepted_with_all_their_fields() -> None:
    for method, params in VALID.items():
        answer, operations = answered(method, json.dumps(params).encode())
        assert "result" in answer, (method, answer)
        assert method == "info" or operations.asked


@given(st.data())
def test_one_wrong_field_gets_an_answer_and_no_number_beyond_its_range(data: st.DataObject) -> None:
    method = data.draw(st.sampled_from([name for name in VALID if VALID[name]]))
    name = data.draw(st.sampled_from(sorted(VALID[method])))
    params = VALID[method] | {name: data.draw(HOSTILE)}
    answer, operations = answered(method, json.dumps(params).encode())
    assert set(answer) in ({"result"}, {"error"})
    if "error" in answer:
        assert answer["error"]["code"] in (104, 107)
    numbers = [number for _, asked in operations.asked for number in integers_in(asked)]
    assert all(abs(number) < 2**63 for number in numbers)


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [
        ("refresh", "expire_at", 10**400), ("refresh", "expire_at", -1),
        ("subscribe", "expire_at", 2**53), ("revoke_token", "expire_at", 10**30),
        ("invalidate_user_tokens", "issued_before", 10**400),
        ("subscribe", "recover_since", {"offset": -1}), ("history", "since", {"offset": 2**64}),
        ("history", "limit", 2**31), ("publish", "version", -1),
        ("publish", "b64data", "é"), ("broadcast", "b64data", "MQ"),
        ("publish", "b64data", "/w=="), ("subscribe", "b64info", "AAAA"),
        ("publish", "tags", {"t": 1}), ("subscribe", "override", {"presence": True}),
        ("disconnect", "disconnect", {"code": 5000}), ("channels", "pattern", 1),
        ("rpc", "method", ""), ("revoke_token", "uid", ""),
    ],
)
def test_the_refusal_names_the_field(method: str, name: str, value: Any) -> None:
    answer, operations = answered(method, json.dumps(VALID[method] | {name: value}).encode())
    assert answer["error"]["code"] == 107
    assert answer["error"]["message"].startswith("bad request: ")
    assert name in answer["error"]["message"]
    assert operations.asked == []


def test_text_that_no_client_could_read_is_refused() -> None:
    for data in (
        b'"\\ud800"', b'"\xff"', b"NaN", b"1e999", b"[" * 100_000 + b"]" * 100_000, b"1 2", b"",
    ):
        answer, operations = answered("publish", b'{"channel":"c","data":' + data + b"}")
        assert answer["error"]["code"] == 107
        assert operations.asked == []


def test_what_is_accepted_can_be_parsed_again_deeper_in_the_stack() -> None:
    outcomes = set()
    for depth in range(800, 1000):
        text = b"[" * depth + b"]" * depth
        answer, operations = answered("publish", b'{"channel":"c","data":' + text + b"}")
        outcomes.add("result" in answer)
        for _, asked in operations.asked:
            assert compact(asked["data"]) == text
    assert outcomes == {True, False}


def test_a_batch_and_a_broadcast_have_a_bound() -> None:
    for count, is_fine in ((BATCH_LIMIT, True), (BATCH_LIMIT + 1, False)):
        body = json.dumps({"commands": [{"info": {}}] * count}).encode()
        assert ("replies" in answered("batch", body)[0]) == is_fine
        body = json.dumps({"channels": ["c"] * count, "data": 1}).encode()
        answer, operations = answered("broadcast", body)
        assert ("result" in answer) == is_fine
        assert len(operations.asked) == is_fine * count


def test_batches_do_not_nest_and_each_command_has_one_method() -> None:
    nested = {"commands": [{"batch": {"commands": [{"info": {}}]}}]}
    answer, _ = answered("batch", json.dumps(nested).encode())
    assert answer["replies"][0]["error"]["code"] == 104
    for command in ({}, {"info": {}, "publish": {}}):
        answer, _ = answered("batch", json.dumps({"commands": [command]}).encode())
        assert answer["error"]["code"] == 107


def test_what_the_application_or_the_store_cannot_do_is_said_with_a_code() -> None:
    for method, params, code in (
        ("rpc", {"method": "broken"}, 100), ("rpc", {"method": "rude"}, 100),
        ("rpc", {"method": "unknown"}, 104), ("publish", {"channel": "away:c", "data": 1}, 100),
        ("revoke_token", {"uid": "one too many"}, 106),
    ):
        answer, _ = answered(method, json.dumps(params).encode())
        assert answer["error"]["code"] == code


async def test_the_old_form_says_what_it_misses() -> None:
    for body, code in (
        (b"{}", 107), (b'{"method":5}', 107), (b'{"method":"info","params":null}', 107),
        (b'{"method":"nothing"}', 104), (b"", 107), (b"[]", 107),
    ):
        content, error = await call_named(RecordingOperations(), body)
        assert error is not None
        assert (error.code, json.loads(content)["error"]["code"]) == (code, code)
