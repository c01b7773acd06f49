"""Reloading: which differences of a new configuration a running node takes over. Pure."""

from __future__ import annotations

from typing import TypeVar

import attrs

from wsmesh.config.checks import check
from wsmesh.config.options import (
    dotted,
    fields_of,
    is_reloadable,
    is_section,
    options_of,
    type_of,
    value_at,
)
from wsmesh.config.sections import Config
from wsmesh.config.strategies import Strategies
from wsmesh.errors import ConfigError

_S = TypeVar("_S")


@attrs.frozen(kw_only=True)
class Reload:
    """What becomes of a new configuration.

    :param config: the running one with everything that can change.
    :param applied: paths of the options that change with it.
    :param postponed: paths of the options that differ but need a restart.
    """

    config: Config
    applied: tuple[str, ...]
    postponed: tuple[str, ...]


def plan_reload(running: Config, wanted: Config, strategies: Strategies) -> Reload:
    """Return what a node that runs with one configuration takes over from another.

    :param strategies: the names that may be chosen.
    :raises ConfigError: dev mode would begin or end, or what can change does not fit what stays.
    """
    if wanted.node.dev is not running.node.dev:
        # It is allowed by the listeners, and changes options that would be applied without it.
        raise ConfigError("wsmesh", ["node.dev: cannot change while the node runs: restart it"])
    config = _merged(running, wanted, reloadable=False)
    applied: list[str] = []
    postponed: list[str] = []
    for option in options_of(Config):
        if value_at(running, option.path) != value_at(wanted, option.path):
            (applied if option.is_reloadable else postponed).append(dotted(option.path))
    faults = [
        f"{fault.path}: {fault.text}, together with what needs a restart"
        for fault in check(config, strategies)
    ]
    if faults:
        raise ConfigError("wsmesh", faults)
    return Reload(config=config, applied=tuple(applied), postponed=tuple(postponed))


def _merged(running: _S, wanted: _S, *, reloadable: bool) -> _S:
    """Return `running` with the options of `wanted` that can change."""
    taken = {}
    for attribute in fields_of(type(running)):
        name, reloads = attribute.name, reloadable or is_reloadable(attribute)
        if is_section(type_of(attribute)):
            old, new = getattr(running, name), getattr(wanted, name)
            taken[name] = _merged(old, new, reloadable=reloads)
        elif reloads:
            taken[name] = getattr(wanted, name)
    # The sections are attrs classes, which a TypeVar cannot say.
    return attrs.evolve(running, **taken)  # type: ignore[misc]
