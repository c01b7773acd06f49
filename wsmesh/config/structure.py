"""From a tree of plain values, as TOML gives it, to sections; every fault is found at once.

cattrs chooses the hook for each type; the hooks are strict: no text becomes a number, `true` is
not 1. A section that has faults is still built, with defaults in their places, and travels with
its faults in `Flawed`, so that one bad option does not hide another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import attrs
import cattrs

from wsmesh.config.faults import Fault, did_you_mean, expected, found, kind_of
from wsmesh.config.options import (
    Path,
    dotted,
    element_of,
    fields_of,
    is_section,
    options_of,
    type_of,
)
from wsmesh.config.units import LARGEST_SIZE, LONGEST_DURATION, parse_duration, parse_size
from wsmesh.config.values import (
    UNLIMITED,
    ByteSize,
    PerSecond,
    PublicKey,
    Seconds,
    Secret,
    Table,
)

_S = TypeVar("_S")
Resolve = Callable[[str], str]
"""Turns `env:NAME` and `file:PATH` into what they name; raises ValueError with the reason."""


@attrs.frozen
class Flawed(Exception):
    """A value with faults: what could be built, and what was wrong at which path."""

    partial: Any
    faults: tuple[tuple[Path, str], ...]


def structure(tree: Any, section: type[_S], resolve: Resolve) -> tuple[_S, list[Fault]]:
    """Build `section` from `tree`; options with faults have their defaults.

    :param resolve: called with the text of every secret and key.
    """
    try:
        return _converter(resolve, section).structure(tree, section), []
    except Flawed as flawed:
        return flawed.partial, [Fault(dotted(path), text) for path, text in flawed.faults]


def convert(value: Any, kind: Any) -> Any:
    """Return a single value as an option of type `kind` holds it; unknown kinds as they are.

    :raises ValueError: it is of another kind; the text says what was expected and found.
    """
    hook = _HOOKS.get(kind)
    return value if hook is None else hook(value, kind)


def _converter(resolve: Resolve, root: type[Any]) -> cattrs.Converter:
    converter = cattrs.Converter()
    for kind, hook in _HOOKS.items():
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook(
        Secret, lambda value, kind: Secret(_utf8(resolve(_text(value, kind))))
    )
    converter.register_structure_hook(
        PublicKey, lambda value, kind: PublicKey(_utf8(resolve(_text(value, kind))))
    )
    converter.register_structure_hook_func(
        is_section, lambda value, kind: _section(value, kind, converter, root)
    )
    converter.register_structure_hook_func(
        lambda kind: element_of(kind) is not None,
        lambda value, kind: _array(value, element_of(kind), converter),
    )
    return converter


def _section(
    value: Any, section: type[Any], converter: cattrs.Converter, root: type[Any]
) -> Any:
    if not isinstance(value, dict):
        # Not shown: somebody may have put a secret in the place of its table.
        text = f"expected a table, found {kind_of(value)}"
        raise Flawed(section(), (((), text),))
    known = {attribute.name: attribute for attribute in fields_of(section)}
    faults: list[tuple[Path, str]] = []
    chosen: dict[str, Any] = {}
    for name, entry in value.items():
        if name not in known:
            faults.append(((name,), f"unknown option{_hint(name, section, root)}"))
            continue
        attribute = known[name]
        try:
            result = converter.structure(entry, type_of(attribute))
            if attribute.validator is not None:
                attribute.validator(None, attribute, result)
        except Flawed as flawed:
            result = flawed.partial
            faults += [((name, *path), text) for path, text in flawed.faults]
        except ValueError as exc:
            faults.append(((name,), str(exc)))
            continue
        chosen[name] = result
    built = section(**chosen)
    if faults:
        raise Flawed(built, tuple(faults))
    return built


def _array(value: Any, element: Any, converter: cattrs.Converter) -> tuple[Any, ...]:
    kind = "tables" if is_section(element) else "strings"
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected an array of {kind}, found {found(value)}")
    built: list[Any] = []
    faults: list[tuple[Path, str]] = []
    for position, entry in enumerate(value):
        try:
            built.append(converter.structure(entry, element))
        except Flawed as flawed:
            built.append(flawed.partial)
            faults += [((position, *path), text) for path, text in flawed.faults]
        except ValueError as exc:
            # The place is kept, so that later faults name the right position.
            built.append(element())
            faults.append(((position,), str(exc)))
    if faults:
        raise Flawed(tuple(built), tuple(faults))
    return tuple(built)


def _hint(name: str, section: type[Any], root: type[Any]) -> str:
    near = did_you_mean(name, (attribute.name for attribute in fields_of(section)))
    if near:
        return near
    # Right name, wrong table: the commonest slip in a file with nested tables.
    places = [dotted(option.path) for option in options_of(root) if option.path[-1] == name]
    return f", did you mean {' or '.join(places[:3])}?" if places else ""


def _unfit(value: Any, kind: Any) -> ValueError:
    return ValueError(f"expected {expected(kind)}, found {found(value)}")


def _boolean(value: Any, kind: Any) -> bool:
    if not isinstance(value, bool):
        raise _unfit(value, kind)
    return value


def _integer(value: Any, kind: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _unfit(value, kind)
    if abs(value) > LARGEST_SIZE:
        raise ValueError("expected an integer of at most 64 bits, found a longer one")
    return value


def _number(value: Any, kind: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _unfit(value, kind)
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > LARGEST_SIZE:
        raise ValueError(f"expected a finite number, found {found(value)}")
    return float(value)


def _string(value: Any, kind: Any) -> str:
    if not isinstance(value, str):
        raise _unfit(value, kind)
    return _utf8(value)


def _seconds(value: Any, kind: Any) -> Seconds:
    if isinstance(value, str):
        try:
            return Seconds(parse_duration(value))
        except ValueError:
            raise _unfit(value, kind) from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _unfit(value, kind)
    if not 0 <= value <= LONGEST_DURATION:
        raise _unfit(value, kind)
    return Seconds(float(value))


def _size(value: Any, kind: Any) -> ByteSize:
    if isinstance(value, str):
        try:
            return ByteSize(parse_size(value))
        except ValueError:
            raise _unfit(value, kind) from None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SIZE:
        raise _unfit(value, kind)
    return ByteSize(value)


def _text(value: Any, kind: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected {expected(kind)}, found {kind_of(value)}")
    return _utf8(value)


def _utf8(text: str) -> str:
    # Variables may hold any bytes; such a text could be neither printed nor sent.
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("expected UTF-8 text, found other bytes") from None
    return text


def _per_second(value: Any, kind: Any) -> PerSecond:
    if value == UNLIMITED:
        return PerSecond(math.inf)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _unfit(value, kind)
    return PerSecond(_number(value, kind))


def _table(value: Any, kind: Any) -> Table:
    if not isinstance(value, dict):
        raise _unfit(value, kind)
    return Table({_utf8(name): _plain(entry) for name, entry in value.items()})


def _plain(value: Any) -> Any:
    """Return what is in a table of options as it is, if a variable could say it too."""
    match value:
        case str():
            return _utf8(value)
        case bool() | int() | float():
            return value
        case list():
            return [_plain(entry) for entry in value]
        case dict():
            return {_utf8(name): _plain(entry) for name, entry in value.items()}
    raise ValueError(f"expected options that are plain values, found {kind_of(value)}")


_HOOKS: dict[Any, Callable[[Any, Any], Any]] = {
    bool: _boolean,
    int: _integer,
    float: _number,
    str: _string,
    Seconds: _seconds,
    ByteSize: _size,
    PerSecond: _per_second,
    Table: _table,
}
