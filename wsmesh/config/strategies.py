"""The installed balancing and failover strategies (entry points, read once), and their options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import attrs

from wsmesh.config.balancing import kind_of_option
from wsmesh.config.faults import Fault, did_you_mean
from wsmesh.config.structure import convert

Load = Callable[[], type[Any]]
"""Gives the class of a strategy's options; imports it only then."""


@attrs.frozen
class Strategies:
    """What `balancer.strategy` and `failover.strategy` may name."""

    balancers: Mapping[str, Load]
    failovers: Mapping[str, Load]


def installed() -> Strategies:
    """Return the built-in strategies and those of the entry-point groups; loads no plugin."""
    return Strategies(
        balancers=_known("wsmesh.balancers", "balancers"),
        failovers=_known("wsmesh.failover", "failover"),
    )


def _known(group: str, package: str) -> Mapping[str, Load]:
    # A checkout that was never installed has no entry points, but its built-ins all the same.
    built_in = getattr(import_module(package), "STRATEGIES", {})
    return {point.name: point.load for point in entry_points(group=group)} | {
        name: partial(_same, spec) for name, spec in built_in.items()
    }


def _same(spec: type[Any]) -> type[Any]:
    return spec


def built(
    name: str, load: Load, options: Mapping[str, Any], path: str
) -> tuple[Any, tuple[Fault, ...]]:
    """Return a strategy's options as an instance of its class, None with faults.

    :param options: as TOML gives them.
    :param path: where they are in the configuration.
    """
    try:
        spec = load()
        attrs.resolve_types(spec)
    except (ImportError, AttributeError, NameError, attrs.exceptions.NotAnAttrsClassError) as exc:
        return None, (Fault(path, f"strategy {name} cannot be loaded: {exc}"),)
    declared = {each.name: each for each in attrs.fields(spec)}
    chosen: dict[str, Any] = {}
    faults = []
    for option, value in options.items():
        if option not in declared:
            known = ", ".join(declared) or "none"
            hint = did_you_mean(option, declared) or f" ({name} has {known})"
            faults.append(Fault(f"{path}.{option}", f"unknown option{hint}"))
            continue
        attribute = declared[option]
        try:
            chosen[option] = convert(value, kind_of_option(attribute))
            if attribute.validator is not None:
                attribute.validator(None, attribute, chosen[option])
        except (ValueError, TypeError) as exc:
            faults.append(_fault(path, option, str(exc), declared))
    if faults:
        return None, tuple(faults)
    try:
        return spec(**chosen), ()
    except (ValueError, TypeError) as exc:
        return None, (_fault(path, "", str(exc), declared),)


def _fault(path: str, option: str, text: str, declared: Mapping[str, object]) -> Fault:
    """Return a fault at the option that the text begins with, or at the given one."""
    named, colon, rest = text.partition(": ")
    if colon and named.partition(".")[0] in declared:
        return Fault(f"{path}.{named}", rest)
    return Fault(f"{path}.{option}" if option else path, text)
