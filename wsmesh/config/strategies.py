"""Names of the installed balancing and failover strategies (entry points, read once)."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

import attrs


@attrs.frozen
class Strategies:
    """What `balancer.strategy` and `failover.strategy` may name."""

    balancers: frozenset[str]
    failovers: frozenset[str]


def installed() -> Strategies:
    """Return the built-in strategies and those of the entry-point groups; loads no plugin."""
    return Strategies(
        balancers=_names("wsmesh.balancers", "balancers"),
        failovers=_names("wsmesh.failover", "failover"),
    )


def _names(group: str, package: str) -> frozenset[str]:
    # A checkout that was never installed has no entry points, but its built-ins all the same.
    built_in = getattr(import_module(package), "STRATEGIES", ())
    return frozenset(built_in) | {point.name for point in entry_points(group=group)}
