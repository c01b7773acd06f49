"""Placement: `[balancer]`, with a section for each modifier, made from what it declares itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_origin

import attrs
from attrs import frozen

from balancers.interface import ModifierSpec
from balancers.modifiers import (
    MODIFIERS,
    HealthSpec,
    OutlierEjectionSpec,
    PanicSpec,
    SlowStartSpec,
    ZoneSpec,
)
from balancers.sticky import StickySpec
from wsmesh.config.values import Seconds, Table, option


@attrs.frozen
class Declared:
    """Validator: what a strategy or modifier says of its own option."""

    check: Any

    def __call__(self, instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        """Raise ValueError, saying what was expected, for a value that does not fit."""
        try:
            self.check(instance, attribute, value)
        except ValueError as error:
            # There the text begins with the option's name, which is said anyway.
            raise ValueError(str(error).removeprefix(f"{attribute.name}: ")) from None


def kind_of_option(attribute: attrs.Attribute[Any]) -> Any:
    """Return the type an option has in a configuration; its class must be resolved."""
    if get_origin(attribute.type) is Literal:
        return str
    return Seconds if attribute.metadata.get("unit") == "s" else attribute.type


def options_section(spec: type[Any], doc: str, *, enabled: bool) -> type[Any]:
    """Return the section of something that declares its options: these, and if it is in use.

    :param doc: the section's docstring.
    :param enabled: whether it is when nothing is said.
    """
    attrs.resolve_types(spec)
    fields = {"enabled": option(enabled, "Whether it is in use.", kind=bool)}
    for attribute in attrs.fields(spec):
        fields[attribute.name] = option(
            attribute.default, attribute.metadata["help"], kind=kind_of_option(attribute),
            validator=None if attribute.validator is None else Declared(attribute.validator),
        )
    return attrs.make_class(
        f"{spec.__name__.removesuffix('Spec')}Section", fields, frozen=True, kw_only=True,
        class_body={"__doc__": doc, "__module__": __name__},
    )


HealthModifierSection = options_section(
    HealthSpec, "`[balancer.health]`: nodes that are unwell get less.", enabled=True
)
OutlierEjectionSection = options_section(
    OutlierEjectionSpec,
    "`[balancer.outlier_ejection]`: nodes that fail in a row get nobody for a while.",
    enabled=True,
)
PanicSection = options_section(
    PanicSpec, "`[balancer.panic]`: when too few nodes are left, those two are ignored.",
    enabled=True,
)
SlowStartSection = options_section(
    SlowStartSpec, "`[balancer.slow_start]`: new nodes are filled slowly.", enabled=True
)
ZoneSection = options_section(
    ZoneSpec, "`[balancer.zone]`: nodes of the own zone first.", enabled=False
)
StickySection = options_section(
    StickySpec, "`[balancer.sticky]`: a key goes where it went before.", enabled=False
)


@frozen(kw_only=True)
class BalancerSection:
    """`[balancer]`: which node a client is placed on."""

    strategy: str = option("p2c", "Name of a strategy (entry points wsmesh.balancers).")
    options: Table = option(
        Table({}), "Options of that strategy, each in docs/balancers.md, as in { vnodes = 320 }."
    )
    health: Any = option(
        HealthModifierSection, "Nodes that are unwell.", kind=HealthModifierSection
    )
    outlier_ejection: Any = option(
        OutlierEjectionSection, "Nodes that fail.", kind=OutlierEjectionSection
    )
    panic: Any = option(PanicSection, "Too few nodes left.", kind=PanicSection)
    slow_start: Any = option(SlowStartSection, "New nodes.", kind=SlowStartSection)
    zone: Any = option(ZoneSection, "The own zone first.", kind=ZoneSection)
    sticky: Any = option(StickySection, "Memory.", kind=StickySection)


def modifiers_of(section: BalancerSection, zone: str) -> tuple[ModifierSpec, ...]:
    """Return the modifiers that are in use.

    :param zone: whose nodes are preferred where `[balancer.zone]` names none.
    """
    chosen = [
        spec_of(MODIFIERS[name], getattr(section, name))
        for name in MODIFIERS
        if getattr(section, name).enabled
    ]
    return tuple(
        attrs.evolve(each, zone=each.zone or zone) if isinstance(each, ZoneSpec) else each
        for each in chosen
    )


def sticky_of(section: BalancerSection) -> StickySpec | None:
    """Return the memory of keys, None when there is none."""
    return spec_of(StickySpec, section.sticky) if section.sticky.enabled else None


def spec_of(kind: type[Any], section: Any) -> Any:
    """Return what a section of `options_section` was made from, with the section's values.

    :raises ValueError: two values do not go together.
    """
    options: Mapping[str, Any] = {
        each.name: getattr(section, each.name) for each in attrs.fields(kind)
    }
    return kind(**options)
