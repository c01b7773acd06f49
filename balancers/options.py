"""How options of strategies and modifiers are declared: default, range and explanation."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, TypeAlias

from attrs import Attribute, field

Check: TypeAlias = "Callable[[Any, Attribute[Any], Any], None]"


def within(least: float, most: float = inf, *, above: bool = False) -> Check:
    """Return a validator for finite numbers from `least` to `most`, both included.

    :param above: `least` itself is too little.
    """
    where = f"{'above' if above else 'from'} {least:g}" + ("" if most == inf else f" to {most:g}")

    def check(_: object, attribute: Attribute[Any], value: float) -> None:
        low_enough = value <= most and value < inf
        if not (value > least if above else value >= least) or not low_enough:
            raise ValueError(f"{attribute.name}: expected a number {where}, found {value}")

    return check


def one_of(*choices: str) -> Check:
    """Return a validator for one of some words."""

    def check(_: object, attribute: Attribute[Any], value: str) -> None:
        if value not in choices:
            known = ", ".join(f'"{choice}"' for choice in choices)
            raise ValueError(f'{attribute.name}: expected one of {known}, found "{value}"')

    return check


def option(default: Any, help: str, *, check: Check | None = None, unit: str = "") -> Any:
    """Return the field of an option.

    :param help: sentences for whoever configures it.
    :param unit: `s` for seconds, which configurations may write as a duration.
    """
    metadata = {"help": help} | ({"unit": unit} if unit else {})
    return field(default=default, validator=check, metadata=metadata)
