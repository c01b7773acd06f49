"""What is wrong with a configuration, and how it is said: expected, found, did you mean."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable
from typing import Any

import attrs

from wsmesh.config.values import ByteSize, PerSecond, PublicKey, Seconds, Secret, Table, quoted

_EXPECTED: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    Seconds: 'a duration such as "5s", "250ms" or "1m30s", or a number of seconds',
    ByteSize: 'a size such as "64KiB" or "10MB", or a number of bytes',
    PerSecond: 'a number per second, or "unlimited"',
    Table: "a table of options",
    Secret: 'a string: the secret itself, "env:NAME" or "file:PATH"',
    PublicKey: 'a string: PEM text, "file:PATH" or "env:NAME"',
}

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "a table",
    datetime.datetime: "a date and time",
    datetime.date: "a date",
    datetime.time: "a time",
    type(None): "null",
}


@attrs.frozen
class Fault:
    """One thing the operator must change.

    :param path: the option at fault, dotted.
    :param text: what was expected and what was found.
    :param involved: further options that the judgement rests on.
    """

    path: str
    text: str
    involved: tuple[str, ...] = ()

    def rests_on(self, paths: Iterable[str]) -> bool:
        """Say whether one of `paths`, or an option inside or around it, is part of this fault."""
        mine = (self.path, *self.involved)
        return any(_overlap(path, own) for path in paths for own in mine)


def _overlap(one: str, other: str) -> bool:
    return one == other or _inside(one, other) or _inside(other, one)


def _inside(inner: str, outer: str) -> bool:
    return inner.startswith((f"{outer}.", f"{outer}["))


def expected(kind: Any) -> str:
    """Return what an option of type `kind` takes."""
    return _EXPECTED.get(kind, "an array")


def found(value: Any) -> str:
    """Return a value as it was written, shortened; arrays and tables only by their kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**20):
        return repr(value)
    return kind_of(value)


def kind_of(value: Any) -> str:
    """Return what kind of value it is without showing it; for what may be a secret."""
    return _KINDS.get(type(value), type(value).__name__)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `, did you mean ...?` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""
