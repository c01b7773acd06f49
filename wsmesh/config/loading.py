"""Loading: defaults, then a TOML file, then `WSMESH_*` variables, then command-line options.

This is the shell of the room: it reads files and entry points. What the values mean is decided in
`structure`, `checks` and `dev`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from wsmesh.config import dev, environment
from wsmesh.config.addresses import TCPAddress, parse_address
from wsmesh.config.certificate import certificate_faults
from wsmesh.config.checks import advise, check
from wsmesh.config.environment import CONFIG_FILE, Settings
from wsmesh.config.options import Path as OptionPath
from wsmesh.config.options import dotted, values_of
from wsmesh.config.secrets import referred_variable, resolve
from wsmesh.config.sections import Config, Listener
from wsmesh.config.strategies import Strategies, installed
from wsmesh.config.structure import structure
from wsmesh.config.toml import read_toml
from wsmesh.errors import ConfigError

DEFAULT = "default"


@attrs.frozen(kw_only=True)
class Loaded:
    """A configuration that holds together, and where each value comes from.

    :param config: the effective configuration, dev mode applied.
    :param origins: dotted option path -> "default", the file, a variable's name, or a
        command-line option.
    :param path: the file that was read, if any.
    :param advice: what works but should be looked at, one line each.
    """

    config: Config
    origins: Mapping[str, str]
    path: Path | None
    advice: tuple[str, ...]


def load(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any],
    *,
    strategies: Strategies | None = None,
) -> Loaded:
    """Return the effective configuration, or raise ConfigError with every fault at once.

    :param path: the TOML file; None takes the one that WSMESH_CONFIG names, or none.
    :param environ: where `WSMESH_*` variables and `env:NAME` are looked up.
    :param overrides: command-line options by name, "host", "port" and "dev"; None is unset.
    :param strategies: what may be chosen; None asks the installed packages.
    """
    if path is None and environ.get(CONFIG_FILE):
        path = Path(environ[CONFIG_FILE])
    faults: list[str] = []
    tree: dict[str, Any] = {}
    try:
        tree = read_toml(path) if path is not None else {}
    except ValueError as exc:
        faults.append(f"{path}: {exc}")
    settings = environment.read(environ, referred=_referred_variables(tree, environ))
    faults += settings.faults
    raw = _merged(tree, settings.values)
    config, wrong = structure(raw, Config, partial(resolve, environ=environ))
    faults += [
        f"{_variable(fault.path, settings) or path}: {fault.path}: {fault.text}" for fault in wrong
    ]

    origins = _origins(config, raw, str(path), settings)
    config, overridden, misplaced = _override(config, overrides)
    origins |= overridden
    faults += misplaced
    kept: list[str] = []
    if config.node.dev:
        config, kept = _apply_dev(config, origins)
    doubtful = [fault.path for fault in wrong] + [
        dotted(option.path) for name, option in environment.variables().items() if name in environ
        and option.path not in settings.values
    ]
    for fault in (*check(config, strategies or installed()), *certificate_faults(config)):
        if not fault.rests_on(doubtful):
            faults.append(f"{_label(fault.path, origins, settings)}{fault.path}: {fault.text}")
    if faults:
        raise ConfigError("wsmesh", faults)
    return Loaded(config=config, origins=origins, path=path, advice=(*advise(config), *kept))


def _referred_variables(tree: Any, environ: Mapping[str, str]) -> frozenset[str]:
    return frozenset(
        name for text in (*_texts(tree), *environ.values()) if (name := referred_variable(text))
    )


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from _texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value)


def _merged(tree: Mapping[str, Any], values: Mapping[OptionPath, Any]) -> dict[str, Any]:
    """Return `tree` with `values` set; a file's value that blocks the way stays, as a fault."""
    merged = dict(tree)
    for path, value in values.items():
        place: Any = merged
        for part in path[:-1]:
            if not isinstance(place, dict):
                break
            inner = place.get(part, {})
            place[part] = dict(inner) if isinstance(inner, dict) else inner
            place = place[part]
        if isinstance(place, dict):
            place[path[-1]] = value
    return merged


def _origins(config: Config, raw: Any, file: str, settings: Settings) -> dict[str, str]:
    return {
        dotted(option.path): _origin(option.path, raw, file, settings) or DEFAULT
        for option, _ in values_of(config)
    }


def _origin(path: OptionPath, raw: Any, file: str, settings: Settings) -> str:
    """Return the variable or file that set the option at `path`, or nothing."""
    for length in range(len(path), 0, -1):
        if path[:length] in settings.variables:
            return settings.variables[path[:length]] if _is_set(raw, path) else ""
    return file if _is_set(raw, path) else ""


def _is_set(tree: Any, path: OptionPath) -> bool:
    for part in path:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _override(
    config: Config, overrides: Mapping[str, Any]
) -> tuple[Config, dict[str, str], list[str]]:
    """Return the configuration with command-line options, the origins they change, and faults."""
    given = {name: value for name, value in overrides.items() if value is not None}
    origins: dict[str, str] = {}
    if given.get("dev"):
        config = attrs.evolve(config, node=attrs.evolve(config.node, dev=True))
        origins["node.dev"] = "--dev"
    named = " ".join(f"--{name}" for name in ("host", "port") if name in given)
    if named:
        try:
            listeners = (_moved(config.listeners, given),)
        except ValueError as exc:
            return config, origins, [f"{named}: {exc}"]
        config = attrs.evolve(config, listeners=listeners)
        origins["listeners[0].address"] = named
    return config, origins, []


def _moved(listeners: tuple[Listener, ...], given: Mapping[str, Any]) -> Listener:
    if len(listeners) != 1:
        raise ValueError(f"expected one listener to change, found {len(listeners)}")
    address = parse_address(listeners[0].address)
    if not isinstance(address, TCPAddress):
        raise ValueError(f"expected a TCP listener to change, found {address}")
    # A colon may stand in an IPv6 address only; brackets make the two readable apart again.
    host = str(given.get("host", address.host)).removeprefix("[").removesuffix("]")
    moved = str(TCPAddress(host, given.get("port", address.port)))
    parse_address(moved)
    return attrs.evolve(listeners[0], address=moved)


def _apply_dev(config: Config, origins: dict[str, str]) -> tuple[Config, list[str]]:
    """Return the configuration in dev mode, and advice about what the operator's choices closed.

    Notes in `origins` what dev mode changed.
    """
    keep = {path for path, origin in origins.items() if origin != DEFAULT}
    opened = dev.apply(config, keep=keep)
    label = "--dev" if origins["node.dev"] == "--dev" else "node.dev"
    for path in _differing(opened, config):
        origins[path] = label
    kept = _differing(dev.apply(config), opened)
    if not kept:
        return opened, []
    shown = ", ".join(kept[:3]) + (f" and {len(kept) - 3} more" if len(kept) > 3 else "")
    return opened, [f"dev mode leaves as you set it: {shown}"]


def _differing(one: Config, other: Config) -> list[str]:
    before = {dotted(option.path): value for option, value in values_of(other)}
    return [
        path for option, value in values_of(one)
        if value != before.get(path := dotted(option.path))
    ]


def _label(path: str, origins: Mapping[str, str], settings: Settings) -> str:
    """Return who set the option at `path`, as the beginning of a line; nothing for a default."""
    option = path
    while option and option not in origins:
        option = option[: max(option.rfind("["), option.rfind("."), 0)]
    origin = origins.get(option, _variable(path, settings) or DEFAULT)
    return "" if origin == DEFAULT else f"{origin}: "


def _variable(path: str, settings: Settings) -> str:
    for option, name in settings.variables.items():
        if path == dotted(option) or path.startswith(f"{dotted(option)}["):
            return name
    return ""
