"""Showing a configuration: values as TOML writes them, secrets redacted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import inf
from typing import Any
from urllib.parse import urlsplit

from wsmesh.config.options import dotted, values_of
from wsmesh.config.sections import Config
from wsmesh.config.units import format_duration, format_size
from wsmesh.config.values import UNLIMITED, ByteSize, PerSecond, Seconds, Secret

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def plain_value(value: Any, kind: Any) -> Any:
    """Return an option's value as TOML or JSON gives it; a secret becomes asterisks."""
    if isinstance(value, Secret):
        return str(value)
    if kind is Seconds:
        return format_duration(value)
    if kind is ByteSize:
        return format_size(value)
    if kind is PerSecond and value == inf:
        return UNLIMITED
    if isinstance(value, tuple):
        return [plain_value(entry, type(entry)) for entry in value]
    if isinstance(value, str):
        return _without_password(value)
    return value


def toml_value(value: Any, kind: Any) -> str:
    """Return an option's value as the text that stands in a TOML file."""
    plain = plain_value(value, kind)
    if isinstance(plain, float):
        return repr(plain)
    if isinstance(plain, dict):
        entries = (f"{_name(name)} = {toml_value(each, None)}" for name, each in plain.items())
        return "{ " + ", ".join(entries) + " }" if plain else "{}"
    # TOML writes booleans, integers, strings and arrays of them as JSON does, but escapes DEL.
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def _name(name: str) -> str:
    """Return a key as TOML writes it."""
    return name if _BARE.fullmatch(name) else toml_value(name, str)


def listing(config: Config, origins: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return every option's value and origin by its dotted path."""
    return {
        dotted(option.path): {
            "value": plain_value(value, option.type),
            "origin": origins.get(dotted(option.path), "default"),
        }
        for option, value in values_of(config)
    }


def table(config: Config, origins: Mapping[str, str]) -> str:
    """Return one aligned line per option: path, value, origin."""
    rows = [
        (dotted(option.path), toml_value(value, option.type)) for option, value in values_of(config)
    ]
    widest = max(len(path) for path, _ in rows)
    # One long value must not push all origins out of sight.
    room = min(36, max(len(value) for _, value in rows))
    return "\n".join(
        f"{path:<{widest}} = {value:<{room}}  # {origins.get(path, 'default')}"
        for path, value in rows
    )


def _without_password(text: str) -> str:
    """Return a URL without the password some people put in it; other texts as they are."""
    if "://" not in text or "@" not in text:
        return text
    try:
        parts = urlsplit(text)
        if parts.password is None:
            return text
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{parts.username}:********@{host}").geturl()
    except ValueError:
        return text
