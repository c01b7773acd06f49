"""Kinds of option values: durations, sizes, secrets; and how an option is declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NewType
from urllib.parse import urlsplit

import attrs

from wsmesh.config.units import format_duration, format_size

Seconds = NewType("Seconds", float)
"""A duration; in TOML `"5s"`, `"250ms"`, `"1m30s"`, `"2h"`, or a number of seconds."""

ByteSize = NewType("ByteSize", int)
"""A size in bytes; in TOML `"64KiB"`, `"1MiB"`, `"512B"`, or a number of bytes."""

PerSecond = NewType("PerSecond", float)
"""A rate; in TOML a number per second or `"unlimited"`, which is infinity here."""

UNLIMITED = "unlimited"
"""How it is said that a limit does not hold; never by a number, such as 0."""

PublicKey = NewType("PublicKey", str)
"""A PEM text; in TOML the text itself, `"file:PATH"` or `"env:NAME"`."""

Table = NewType("Table", Mapping[str, Any])
"""Options that somebody else declares, such as those of a strategy."""


@attrs.frozen(repr=False)
class Secret:
    """A value that no log, error or listing may show.

    In TOML: the value itself, `"env:NAME"` (an environment variable) or `"file:PATH"` (a file,
    its trailing newline removed).
    """

    value: str = ""

    def __bool__(self) -> bool:
        return bool(self.value)

    def __repr__(self) -> str:
        return "Secret(set)" if self.value else "Secret(unset)"

    def __str__(self) -> str:
        return "********" if self.value else ""


def option(
    default: Any,
    text: str,
    *,
    validator: Callable[[Any, attrs.Attribute[Any], Any], None] | None = None,
    reloadable: bool = False,
    kind: Any = None,
) -> Any:
    """Declare an option with its default and the sentence that documents it everywhere.

    :param reloadable: SIGHUP applies a change of it, or of everything in the section; others
        need a restart.
    :param kind: its type, where the annotation cannot say it.
    """
    metadata = {"text": text, "reloadable": reloadable} | ({"kind": kind} if kind else {})
    if isinstance(default, type) and attrs.has(default):
        return attrs.field(factory=default, metadata=metadata, validator=validator)
    return attrs.field(default=default, metadata=metadata, validator=validator)


@attrs.frozen
class Within:
    """Validator: a number lies between `low` and `high`, both allowed; `str()` states the rule."""

    low: float
    high: float | None = None

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Raise ValueError, saying what was expected, for a value that does not fit."""
        if value < self.low or (self.high is not None and value > self.high):
            kind = attribute.type
            raise ValueError(f"expected {self.rule(kind)}, found {in_units(value, kind)}")

    def rule(self, kind: object) -> str:
        """Return what is allowed, in the units of an option of type `kind`."""
        low = in_units(self.low, kind)
        return f"at least {low}" if self.high is None else f"{low} to {in_units(self.high, kind)}"


@attrs.frozen
class NodeURL:
    """Validator: a string is empty, or `ws://HOST[:PORT]`, or `wss:`, without more."""

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Raise ValueError, saying what was expected, for a value that does not fit."""
        if not value:
            return
        try:
            parts = urlsplit(value)
            is_one = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_one = False
        if not is_one or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f"expected {self.rule(attribute.type)}, found {quoted(value)}")

    def rule(self, _: object) -> str:
        """Return what is allowed."""
        return "ws://HOST:PORT or wss://HOST:PORT"


@attrs.frozen
class OneOf:
    """Validator: a string is one of the named choices."""

    choices: tuple[str, ...]

    def __call__(self, _: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Raise ValueError, saying what was expected, for a value that does not fit."""
        if value not in self.choices:
            raise ValueError(f"expected {self.rule(attribute.type)}, found {quoted(value)}")

    def rule(self, _: object) -> str:
        """Return what is allowed."""
        return "one of " + ", ".join(map(quoted, self.choices))


def at_least(low: float) -> Within:
    """Validate that a number is not below `low`."""
    return Within(low)


def within(low: float, high: float) -> Within:
    """Validate that a number lies between `low` and `high`, both allowed."""
    return Within(low, high)


def one_of(*choices: str) -> OneOf:
    """Validate that a string is one of the named choices."""
    return OneOf(choices)


def in_units(value: float, kind: object) -> str:
    """Return a number as an operator would write it for an option of type `kind`."""
    if kind in (Seconds, "Seconds"):
        return format_duration(value)
    if kind in (ByteSize, "ByteSize"):
        return format_size(int(value))
    return f"{value:.12g}"


def quoted(text: str) -> str:
    """Return `text` in double quotes on one line, shortened when it is long."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return '"' + shown.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
