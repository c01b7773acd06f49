"""Which JSON is passed on to others (reliability table rows 15 and 16)."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsmesh.security.payload import check_payload, compact

DEPTH, KEYS = 32, 256


def fault_of(raw: bytes, depth: int = DEPTH, keys: int = KEYS) -> str | None:
    return check_payload(raw, depth, keys)


class Command(msgspec.Struct):
    data: msgspec.Raw


def passes_raw(payload: bytes) -> bool:
    """Whether a field of type Raw takes it, as commands of clients do."""
    try:
        return (
            bytes(msgspec.json.decode(b'{"data":' + payload + b"}", type=Command).data) == payload
        )
    except (msgspec.MsgspecError, RecursionError):
        return False


@pytest.mark.parametrize("raw", [b'"\xff"', b'{"\xed\xa0\x80":1}', b"1e999", b"-1e400", b"9" * 400])
def test_these_pass_as_raw_and_are_refused_here(raw):
    assert passes_raw(raw)
    assert fault_of(raw) is not None


@pytest.mark.parametrize(
    "raw",
    [
        b"", b" ", b"{", b"}", b"[1,]", b'{"a":1,}', b"{1:2}", b"01", b"1.", b".5", b"+1", b"1e",
        b"NaN", b"Infinity", b"-Infinity", b'{"a":NaN}', b'"\x01"', b'"\n"', b'"\\x"', b'"\\u12g4"',
        b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\u0041"', b'{"\\udfff":1}', b"\xef\xbb\xbf1", b"1 2",
        b"'a'", b"tru", b"nul", b"undefined", b"[1 2]", b'{"a" 1}', b'"a', b"\x00",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(raw):
    assert fault_of(raw) == "not valid JSON"


@pytest.mark.parametrize(
    "raw",
    [
        b"{}", b"[]", b"null", b"true", b"0", b"-0", b"1.5e300", b"1e-999", b'""',
        b' {"a" : [1] } ',
        b'"\\ud83d\\ude00"', "\"é😀\"".encode(), b'"\x7f"', b'{"a":1,"a":2}', b"1" * 308,
        b'"' + b"7" * 5000 + b'"', b'"' + b"[" * 5000 + b'"', b'"' + b":" * 5000 + b'"',
        b'"' + b'\\"[{:' * 900 + b'"', b'["\\\\",["\\\\\\""]]',
    ],
)  # fmt: skip
def test_plain_json_is_taken(raw):
    assert fault_of(raw) is None


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_depth_is_taken_to_the_limit_and_not_beyond(opening):
    closing = bytes(reversed(opening.translate(bytes.maketrans(b"[{", b"]}"), b'"a:')))
    levels = len(closing)
    fitting, beyond = 32 // levels, 32 // levels + 1
    assert fault_of(opening * fitting + b"1" + closing * fitting) is None
    assert fault_of(opening * beyond + b"1" + closing * beyond) == "nested deeper than 32"


@pytest.mark.parametrize("depth", [900, 10_000, 1_000_000])
def test_bottomless_nesting_is_refused_without_an_exception(depth):
    assert fault_of(b"[" * depth + b"]" * depth) == "nested deeper than 32"
    assert fault_of(b"[" * depth) is not None


def test_wide_json_is_not_deep():
    assert fault_of(b"[" + b"[],{}," * 5000 + b"[]]") is None


def test_keys_are_taken_to_the_limit_and_not_beyond():
    for total in (256, 257):
        flat = b"{" + b",".join(b'"":1' for _ in range(total)) + b"}"
        spread = b"[" + b",".join(b'{"k:k":":"}' for _ in range(total)) + b"]"
        for raw in (flat, spread):
            assert fault_of(raw) == (None if total == 256 else "more than 256 keys")


def test_a_scalar_has_no_depth_and_zero_limits_hold():
    assert fault_of(b"1", depth=0, keys=0) is None
    assert fault_of(b"[]", depth=0, keys=0) == "nested deeper than 0"
    assert fault_of(b'{"":1}', depth=1, keys=0) == "more than 0 keys"


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def keys_of(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(keys_of, value.values()))
    return sum(map(keys_of, value)) if isinstance(value, list) else 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('"\\[]{}:ab\né', max_size=6),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text('"\\[]{}:ab', max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=300)
@given(json_values, st.integers(0, 6), st.integers(0, 8), st.booleans())
def test_the_limits_count_what_a_parser_counts(value, depth, keys, is_ascii):
    raw = json.dumps(value, ensure_ascii=is_ascii).encode()
    fits = depth_of(value) <= depth and keys_of(value) <= keys
    assert (check_payload(raw, depth, keys) is None) == fits


@settings(max_examples=500)
@given(st.binary(max_size=60) | st.text('{}[]":,\\u0dD8eE+-.19ntf ', max_size=40).map(str.encode))
@example(b'"\\"')
@example(b"1" * 5000)
@example(b"[" * 400 + b"]" * 400)
def test_any_bytes_are_refused_or_parsed_by_a_strict_parser(raw):
    if check_payload(raw, DEPTH, KEYS) is None:
        value = msgspec.json.decode(raw)
        assert passes_raw(raw.strip(b" \t\r\n"))
        assert json.loads(json.dumps(value, allow_nan=False)) == value


@given(json_values)
def test_the_compact_form_is_one_line_and_says_the_same(value):
    raw = json.dumps(value, indent=2).encode()
    line = compact(raw)
    assert b"\n" not in line
    assert json.loads(line) == value


@pytest.mark.parametrize("raw", [b"", b"{", b"[" * 100_000, b"NaN"])
def test_only_json_has_a_compact_form(raw):
    with pytest.raises(ValueError, match="not valid JSON"):
        compact(raw)
