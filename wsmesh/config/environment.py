"""`WSMESH_*` variables: their names, computed from the section classes, and their values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs
import msgspec

from wsmesh.config.faults import did_you_mean, expected, kind_of
from wsmesh.config.options import Option, Path, element_of, options_of
from wsmesh.config.sections import Config
from wsmesh.config.values import (
    UNLIMITED,
    ByteSize,
    PerSecond,
    PublicKey,
    Seconds,
    Secret,
    Table,
    quoted,
)

PREFIX = "WSMESH_"
CONFIG_FILE = "WSMESH_CONFIG"
"""Names the configuration file when --config does not."""

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")

# Kubernetes gives every pod such variables for each service of its namespace; one that is called
# "wsmesh" must not stop the node.
_SERVICE_LINK = re.compile(
    r"WSMESH_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?"
    r"|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://\S+")


@attrs.frozen
class Settings:
    """What the environment says: values as TOML would give them, by path, and their variables."""

    values: Mapping[Path, Any]
    variables: Mapping[Path, str]
    faults: tuple[str, ...]


@lru_cache(maxsize=1)
def variables() -> Mapping[str, Option]:
    """Return the variable of every option, `WSMESH_SECTION_OPTION`.

    Raises ValueError when two options would share one; a test keeps that from happening.
    """
    names: dict[str, Option] = {}
    for option in options_of(Config):
        name = PREFIX + "_".join(map(str, option.path)).upper()
        if name in names or name == CONFIG_FILE:
            raise ValueError(f"{name} would mean two options")
        names[name] = option
    return names


def read(environ: Mapping[str, str], *, referred: frozenset[str] = frozenset()) -> Settings:
    """Return what the `WSMESH_*` variables of `environ` say.

    :param referred: names that `env:NAME` uses, which need not be options.
    """
    known = variables()
    values: dict[Path, Any] = {}
    names: dict[Path, str] = {}
    faults: list[str] = []
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        text = environ[name]
        if name in known:
            option = known[name]
            try:
                values[option.path] = plain(text, option.type)
                names[option.path] = name
            except ValueError as exc:
                faults.append(f"{name}: {exc}")
        elif not (name == CONFIG_FILE or name in referred or _is_service_link(name, text)):
            faults.append(f"{name}: unknown option{_hint(name)}")
    return Settings(values, names, tuple(faults))


def plain(text: str, kind: Any) -> Any:
    """Return the value that TOML would give for a variable's text; strict checks come after.

    Raises ValueError when the text cannot be one of `kind`.
    """
    if kind in (str, Secret, PublicKey):
        return text
    if element_of(kind) is not None:
        return _json(text, list, "an array")
    if kind is Table:
        return _json(text, dict, "a table")
    try:
        if kind is bool:
            return _boolean(text)
        if kind is int:
            return _integer(text)
        if kind is float:
            return _number(text)
        if kind is PerSecond:
            return text if text == UNLIMITED else _number(text)
        if kind in (Seconds, ByteSize):
            return _quantity(text, kind)
    except ValueError:
        raise ValueError(f"expected {expected(kind)}, found {quoted(text)}") from None
    raise TypeError(f"an option has the unforeseen type {kind!r}")


def _hint(name: str) -> str:
    if name in ("WSMESH_HOST", "WSMESH_PORT"):
        return f", did you mean --{name.removeprefix(PREFIX).lower()} or WSMESH_LISTENERS?"
    # Without the prefix, which all share and which would make everything look alike.
    near = did_you_mean(
        name.removeprefix(PREFIX), (known.removeprefix(PREFIX) for known in variables())
    )
    return near.replace("mean ", f"mean {PREFIX}")


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered not in (*_TRUE, *_FALSE):
        raise ValueError(text)
    return lowered in _TRUE


def _integer(text: str) -> int:
    # int() alone would also take "1_0" and " 7 ".
    if not re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[0-9.eE+-]{1,40}", text):
        raise ValueError(text)
    return float(text)


def _quantity(text: str, kind: Any) -> Any:
    if re.fullmatch(r"[0-9]{1,30}", text):
        return int(text)
    if kind is Seconds and re.fullmatch(r"[0-9]{0,30}\.[0-9]{1,30}", text):
        return float(text)
    return text


def _json(text: str, kind: type, called: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as exc:
        raise ValueError(f"expected {called} written as JSON: {exc}") from None
    if not isinstance(value, kind):
        raise ValueError(f"expected {called} written as JSON, found {kind_of(value)}")
    return value


def _is_service_link(name: str, value: str) -> bool:
    if _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and bool(_SERVICE_URL.fullmatch(value))
