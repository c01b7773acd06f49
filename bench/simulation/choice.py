"""Choices: a strategy with its options and modifiers, as a short text names it.

`p2c`, `bounded_load:balance_factor=1.1`, `least_connections+slow_start:window=60+sticky`.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

import attrs
from attrs import frozen

from balancers import MODIFIERS, STRATEGIES, StickySpec, compose
from balancers.interface import Clock, ModifierSpec, Spec, Strategy
from wsmesh.config.faults import did_you_mean


class ChoiceError(Exception):
    """There is no such strategy, modifier or option; the text names the nearest."""


@frozen
class Choice:
    """A strategy with everything around it.

    :param text: how it was written, and how results call it.
    """

    text: str
    spec: Spec
    modifiers: tuple[ModifierSpec, ...] = ()
    sticky: StickySpec | None = None

    def build(self, rng: random.Random, clock: Clock, zone: str = "") -> Strategy:
        """Make the strategy as a gateway in this zone uses it."""
        if not self.modifiers and self.sticky is None:
            return self.spec.build(rng, clock)
        modifiers = [_placed(spec, zone) for spec in self.modifiers]
        return compose(self.spec, modifiers, self.sticky, rng, clock)


def known_strategies() -> dict[str, type[Spec]]:
    """Return the strategies by name: those of the library, then those of other packages."""
    found = {entry.name: entry for entry in entry_points(group="wsmesh.balancers")}
    others = {name: entry.load() for name, entry in found.items() if name not in STRATEGIES}
    return {**STRATEGIES, **others}


def parse(text: str) -> Choice:
    """Read a choice.

    :raises ChoiceError: it names something that does not exist, or an option is out of range.
    """
    first, *others = text.split("+")
    spec = _built(first, known_strategies(), "strategy")
    modifiers = []
    sticky = None
    for other in others:
        built = _built(other, {**MODIFIERS, "sticky": StickySpec}, "modifier")
        if isinstance(built, StickySpec):
            sticky = built
        else:
            modifiers.append(built)
    choice = Choice(text, spec, tuple(modifiers), sticky)
    try:
        choice.build(random.Random(0), lambda: 0.0)
    except ValueError as error:
        raise ChoiceError(f"{text}: {error}") from error
    return choice


def _built(text: str, known: Mapping[str, type[Any]], kind: str) -> Any:
    name, *assignments = text.split(":")
    if name not in known:
        there = ", ".join(sorted(known))
        raise ChoiceError(f"no {kind} {name!r}{did_you_mean(name, known)} (there are {there})")
    fields = [each.name for each in attrs.fields(known[name])]
    options = {}
    for assignment in assignments:
        option, _, value = assignment.partition("=")
        if option not in fields:
            nearest = did_you_mean(option, fields) or f" (there are {', '.join(fields) or 'none'})"
            raise ChoiceError(f"{name} has no option {option!r}{nearest}")
        options[option] = _value(value)
    try:
        return known[name](**options)
    except (TypeError, ValueError) as error:
        raise ChoiceError(f"{name}: {error}") from error


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _placed(spec: ModifierSpec, zone: str) -> Any:
    # A modifier that wants to know where its gateway is says so by an option of that name.
    return attrs.evolve(spec, zone=zone) if getattr(spec, "zone", None) == "" else spec  # type: ignore[misc]
