"""JSON that clients bring: what is accepted, what its bounds are, and its one-line form.

Payloads are embedded as they are in frames for other clients, so whatever a strict parser would
refuse there must be refused here: lone surrogates, invalid UTF-8, NaN, numbers without a double.
"""

from __future__ import annotations

import re

import msgspec

DIGITS = 309
"""A number with so many digits in a row may have no finite double (the largest is 1.8e308)."""

MEMBER = 4
"""Bytes of the shortest member of an object: `"":1`."""

_decode = msgspec.json.Decoder().decode
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TO_ARRAYS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
_TO_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * DIGITS


def check_payload(raw: bytes, depth: int, keys: int) -> str | None:
    """Say why `raw` is not an acceptable JSON text, or None when it is.

    Never raises. The cost is that of parsing it once; texts with more brackets, colons or digits
    than the limits allow are looked at more closely, in linear time.

    :param depth: how deep arrays and objects may be nested; a scalar has depth 0.
    :param keys: members of all its objects together, repeated names counted each time.
    """
    try:
        _decode(raw)
    except RecursionError:
        return f"nested deeper than {depth}"
    except msgspec.ValidationError:
        return "number out of range"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "not valid JSON"
    size = len(raw)
    if size >= DIGITS and _has_long_number(raw) and _has_long_number(_STRING.sub(b"", raw)):
        return "number out of range"
    if size > keys * MEMBER and raw.count(b":") > keys and _STRING.sub(b"", raw).count(b":") > keys:
        return f"more than {keys} keys"
    if size > 2 * depth and raw.count(b"[") + raw.count(b"{") > depth and _nests_deeper(raw, depth):
        return f"nested deeper than {depth}"
    return None


def _has_long_number(raw: bytes) -> bool:
    return _LONG_NUMBER in raw.translate(_TO_ZEROS)


def _nests_deeper(raw: bytes, depth: int) -> bool:
    """Whether valid JSON nests deeper than `depth`: each round takes the innermost pairs away."""
    brackets = _STRING.sub(b"", raw).translate(_TO_ARRAYS, _NO_BRACKETS)
    for _ in range(depth):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def compact(raw: bytes) -> bytes:
    """Give JSON its form without white space, so that it fits a line of a multi-message frame.

    :raises ValueError: it is not JSON or nested too deep to be read.
    """
    try:
        return msgspec.json.format(raw, indent=-1)
    except (msgspec.MsgspecError, RecursionError) as exc:
        raise ValueError("not valid JSON") from exc
