"""Records of nodes: what neighbouring releases may differ in, and what is none."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.cluster.nodes import (
    Identity,
    MalformedRecord,
    NodeRecord,
    NodeState,
    decode_record,
    encode_record,
)

RECORD = NodeRecord(
    node="n1", incarnation=3, name="box:1", listeners=("10.0.0.1:8000",), mesh="10.0.0.1:7400",
    zone="a", weight=2.0, capacity=100, connections=40, report=9, load=0.4, health=0.9,
    state="draining", version="1.0", started_at=1_700_000_000.5,
)


def changed(**fields: object) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(RECORD), **fields})


def test_a_record_comes_back_as_it_was_written():
    assert decode_record(encode_record(RECORD)) == RECORD
    assert RECORD.identity == Identity("n1", 3)
    assert str(RECORD.identity) == "n1/3"


def test_what_a_later_release_adds_is_ignored():
    assert decode_record(changed(colour="green", nested={"a": [1]})) == RECORD


def test_what_an_earlier_release_did_not_know_has_its_default():
    record = decode_record(b'{"node": "n1", "incarnation": 3}')
    assert record == NodeRecord(node="n1", incarnation=3)
    assert record.own_state is NodeState.JOINING


@pytest.mark.parametrize("state", ["hibernating", "", "suspect", "dead"])
def test_a_state_that_no_node_of_this_release_says_takes_it_out_of_placement_only(state):
    assert decode_record(changed(state=state)).own_state is NodeState.LEAVING


@pytest.mark.parametrize("state", ["joining", "alive", "draining", "leaving"])
def test_a_node_says_what_it_is_doing(state):
    assert decode_record(changed(state=state)).own_state is NodeState(state)


@pytest.mark.parametrize(
    "fields",
    [
        {"node": ""},
        {"node": "x" * 256},
        {"node": None},
        {"incarnation": -1},
        {"incarnation": 2**63},
        {"incarnation": "3"},
        {"weight": -0.1},
        {"weight": 1e300},
        {"capacity": -1},
        {"connections": 10**10},
        {"load": 1.01},
        {"health": -0.5},
        {"listeners": "10.0.0.1:8000"},
        {"report": -1},
    ],
)
def test_values_that_no_node_has_make_it_no_record(fields):
    with pytest.raises(MalformedRecord):
        decode_record(changed(**fields))


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_no_record(text):
    with pytest.raises(MalformedRecord):
        decode_record(text)


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything_else(text):
    with suppress(MalformedRecord):
        decode_record(text)


@given(at=st.integers(0, 400), by=st.integers(1, 255))
def test_a_flipped_byte_is_noticed_or_makes_another_valid_record(at, by):
    text = bytearray(encode_record(RECORD))
    text[at % len(text)] ^= by
    try:
        record = decode_record(bytes(text))
    except MalformedRecord:
        return
    assert 0 <= record.load <= 1
    assert decode_record(encode_record(record)) == record
