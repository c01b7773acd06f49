"""The reference file: every option with its text, kind and default, made from the classes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import attrs

from wsmesh.config.environment import PREFIX
from wsmesh.config.options import (
    Path,
    dotted,
    element_of,
    fields_of,
    is_reloadable,
    is_section,
    options_of,
    type_of,
)
from wsmesh.config.sections import Config
from wsmesh.config.showing import toml_value
from wsmesh.config.values import ByteSize, PerSecond, PublicKey, Seconds, Secret, Table

_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "integer",
    float: "number",
    str: "string",
    Seconds: "duration",
    ByteSize: "size",
    Secret: "secret",
    PublicKey: "public key",
    PerSecond: "rate",
    Table: "table",
}

_HEAD = f"""\
# wsmesh.toml: every option with its default. Keep what you change, leave out the rest.
#
# Durations: "250ms", "5s", "1m30s", "2h", "7d", or a number of seconds.
# Sizes: "512B", "64KiB", "10MB", or a number of bytes.
# Secrets and public keys: the value itself, "env:NAME" or "file:PATH".
# Each option is also a variable: [client] ping_interval is {PREFIX}CLIENT_PING_INTERVAL.
# SIGHUP applies changes of the options that end with "reloads"; the others need a restart.
"""


def reference() -> str:
    """Return a commented TOML file that loads as `Config()`."""
    lines = [_HEAD]
    default = Config()
    for attribute in fields_of(Config):
        value = getattr(default, attribute.name)
        lines += _part((attribute.name,), attribute, value, is_reloadable(attribute))
    return "\n".join(lines) + "\n"


def reload_table() -> str:
    """Return a Markdown table of the options that SIGHUP applies, one row for each section."""
    rows: dict[str, list[str]] = {}
    for option in options_of(Config):
        if option.is_reloadable:
            rows.setdefault(dotted(option.path[:-1]), []).append(f"`{option.path[-1]}`")
    lines = [f"| `[{section}]` | {', '.join(names)} |" for section, names in rows.items()]
    return "\n".join(("| section | options |", "|---|---|", *lines)) + "\n"


def _part(
    path: Path, attribute: attrs.Attribute[Any], value: Any, reloads: bool
) -> Iterator[str]:
    """Yield a table, or an array of tables, with what is in it."""
    element = element_of(type_of(attribute))
    if element is None:
        yield from _section(f"[{dotted(path)}]", path, value, reloads)
    elif value:
        for entry in value:
            yield from _section(f"[[{dotted(path)}]]", path, entry, reloads)
    else:
        # None by default, so an example that is switched off.
        example = _section(f"[[{dotted(path)}]]", path, element(name="example"), reloads)
        for line in "\n".join(example).splitlines():
            yield line if line.startswith("#") or not line else f"#{line}"
        yield ""


def _section(header: str, path: Path, section: Any, reloads: bool) -> Iterator[str]:
    heading = (type(section).__doc__ or "").partition("\n")[0].partition(": ")[2]
    yield header + (f"  # {heading}" if heading else "")
    inner: list[tuple[Path, attrs.Attribute[Any], Any, bool]] = []
    for attribute in fields_of(type(section)):
        value = getattr(section, attribute.name)
        reload = reloads or is_reloadable(attribute)
        if is_section(type_of(attribute)) or is_section(element_of(type_of(attribute))):
            inner.append(((*path, attribute.name), attribute, value, reload))
        else:
            yield from _option(attribute, value, reload)
    yield ""
    for part in inner:
        yield from _part(*part)


def _option(attribute: attrs.Attribute[Any], value: Any, reloads: bool) -> Iterator[str]:
    shown = toml_value(value, type_of(attribute))
    end = "; reloads" if reloads else ""
    yield from textwrap.wrap(
        f"{attribute.metadata['text']} {_kind(attribute)}; default {shown}{end}.",
        width=96, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False,
    )
    yield f"{attribute.name} = {shown}"


def _kind(attribute: attrs.Attribute[Any]) -> str:
    element = element_of(type_of(attribute))
    kind = f"array of {_KINDS[element]}s" if element else _KINDS[type_of(attribute)]
    rule = getattr(attribute.validator, "rule", None)
    return f"({kind}, {rule(type_of(attribute))})" if rule else f"({kind})"
