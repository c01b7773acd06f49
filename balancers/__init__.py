"""Balancing strategies: which member of a cluster gets a client. Pure; knows nothing of wsmesh.

`STRATEGIES` names the ones that come with wsmesh; others are entry points of `wsmesh.balancers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from balancers.interface import (
    Clock,
    Member,
    Modifier,
    ModifierSpec,
    Observer,
    Spec,
    Strategy,
    View,
)
from balancers.least_connections import LeastConnections, LeastConnectionsSpec
from balancers.p2c import P2CSpec, PowerOfTwoChoices
from balancers.random_choice import RandomChoice, RandomSpec
from balancers.round_robin import RoundRobin, RoundRobinSpec
from balancers.tally import Tally

STRATEGIES: Mapping[str, type[Spec]] = MappingProxyType(
    {
        "least_connections": LeastConnectionsSpec,
        "p2c": P2CSpec,
        "random": RandomSpec,
        "round_robin": RoundRobinSpec,
    }
)

__all__ = [
    "STRATEGIES",
    "Clock",
    "LeastConnections",
    "LeastConnectionsSpec",
    "Member",
    "Modifier",
    "ModifierSpec",
    "Observer",
    "P2CSpec",
    "PowerOfTwoChoices",
    "RandomChoice",
    "RandomSpec",
    "RoundRobin",
    "RoundRobinSpec",
    "Spec",
    "Strategy",
    "Tally",
    "View",
]
