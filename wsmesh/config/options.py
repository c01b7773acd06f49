"""Which options exist: walking the section classes, and a configuration's values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import attrs

from wsmesh.config.values import Secret

Path = tuple[str | int, ...]
"""Where an option is: names of sections and options, and positions in arrays of tables."""


@attrs.frozen
class Option:
    """One option of one section class.

    :ivar is_reloadable: SIGHUP applies a change of it.
    """

    path: Path
    type: Any
    attribute: attrs.Attribute[Any]
    is_reloadable: bool = False

    @property
    def text(self) -> str:
        """The sentence that documents it."""
        return str(self.attribute.metadata.get("text", ""))


def dotted(path: Path) -> str:
    """Return a path as people write it: `channel.namespaces[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def fields_of(section: type[Any]) -> tuple[attrs.Attribute[Any], ...]:
    """Return a section's fields with their types resolved from the annotations' text."""
    attrs.resolve_types(section)
    return tuple(attrs.fields(section))


def type_of(attribute: attrs.Attribute[Any]) -> Any:
    """Return the type of a field of a section."""
    return attribute.metadata.get("kind", attribute.type)


def is_section(kind: Any) -> bool:
    """Say whether `kind` is a table of options (a Secret is a single value)."""
    return isinstance(kind, type) and attrs.has(kind) and kind is not Secret


def element_of(kind: Any) -> Any:
    """Return what an array option `tuple[X, ...]` holds, or None for other kinds."""
    return get_args(kind)[0] if get_origin(kind) is tuple else None


def is_reloadable(attribute: attrs.Attribute[Any]) -> bool:
    """Say whether SIGHUP applies a change of an option, or of every option of a section."""
    return bool(attribute.metadata.get("reloadable"))


def options_of(
    section: type[Any], at: Path = (), *, reloadable: bool = False
) -> Iterator[Option]:
    """Yield every option below a section; an array of tables is one option.

    :param reloadable: the section is, with everything in it.
    """
    for attribute in fields_of(section):
        path, kind = (*at, attribute.name), type_of(attribute)
        reloads = reloadable or is_reloadable(attribute)
        if is_section(kind):
            yield from options_of(kind, path, reloadable=reloads)
        else:
            yield Option(path, kind, attribute, reloads)


def value_at(section: Any, path: Path) -> Any:
    """Return the value of the option at `path`."""
    value = section
    for part in path:
        value = getattr(value, str(part))
    return value


def values_of(section: Any, at: Path = ()) -> Iterator[tuple[Option, Any]]:
    """Yield every option of a configuration with its value; arrays of tables by position."""
    for option in options_of(type(section)):
        value = value_at(section, option.path)
        path = (*at, *option.path)
        if value and is_section(element_of(option.type)):
            for position, entry in enumerate(value):
                yield from values_of(entry, (*path, position))
        else:
            yield attrs.evolve(option, path=path), value
