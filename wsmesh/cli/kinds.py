"""Kinds of command-line values: durations, JSON, secrets."""

from __future__ import annotations

import os
from typing import Any

import click
import msgspec

from wsmesh.config.secrets import resolve
from wsmesh.config.units import parse_duration


class Duration(click.ParamType[float]):
    """`7d`, `1h30m`, `0`: seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds."""
        if isinstance(value, float):
            return value
        if value == "0":
            return 0.0
        try:
            return parse_duration(value)
        except ValueError:
            self.fail(f'expected a duration such as "7d" or "1h30m", found {value!r}', param, ctx)


class JSON(click.ParamType[bytes]):
    """A JSON document; the value is its text, checked."""

    name = "json"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        """Return the document as UTF-8."""
        if isinstance(value, bytes):
            return value
        try:
            text = str(value).encode()
            msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
            self.fail(f"expected JSON such as '{{\"name\": \"Alice\"}}': {exc}", param, ctx)
        return text


class SecretText(click.ParamType[str]):
    """A secret: itself, `env:NAME` or `file:PATH`, as in the configuration."""

    name = "secret"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return what it names."""
        try:
            return resolve(str(value), os.environ)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


DURATION = Duration()
JSON_TEXT = JSON()
SECRET = SecretText()
