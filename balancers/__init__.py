"""Balancing strategies: which member of a cluster gets a client. Pure; knows nothing of wsmesh.

`STRATEGIES` names the ones that come with wsmesh; others are entry points of `wsmesh.balancers`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from balancers.balancer import Balancer, compose
from balancers.bounded_load import BoundedLoad, BoundedLoadSpec
from balancers.first import First, FirstSpec
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
from balancers.least_load import LeastLoad, LeastLoadSpec
from balancers.maglev import Maglev, MaglevSpec
from balancers.modifiers import MODIFIERS
from balancers.multi_probe import MultiProbe, MultiProbeSpec
from balancers.p2c import P2CSpec, PowerOfTwoChoices
from balancers.peak_ewma import PeakEwma, PeakEwmaSpec
from balancers.random_choice import RandomChoice, RandomSpec
from balancers.rendezvous import Rendezvous, RendezvousSpec
from balancers.ring_hash import RingHash, RingHashSpec
from balancers.round_robin import RoundRobin, RoundRobinSpec
from balancers.sticky import Sticky, StickySpec
from balancers.tally import Tally
from balancers.weighted_round_robin import WeightedRoundRobin, WeightedRoundRobinSpec

STRATEGIES: Mapping[str, type[Spec]] = MappingProxyType(
    {
        "first": FirstSpec,
        "ring_hash": RingHashSpec,
        "rendezvous": RendezvousSpec,
        "multi_probe": MultiProbeSpec,
        "maglev": MaglevSpec,
        "bounded_load": BoundedLoadSpec,
        "least_connections": LeastConnectionsSpec,
        "least_load": LeastLoadSpec,
        "p2c": P2CSpec,
        "peak_ewma": PeakEwmaSpec,
        "random": RandomSpec,
        "round_robin": RoundRobinSpec,
        "weighted_round_robin": WeightedRoundRobinSpec,
    }
)

KEYED = frozenset({"bounded_load", "maglev", "multi_probe", "rendezvous", "ring_hash"})
"""Those of them that place the same key on the same member; others need `sticky` for that."""

__all__ = [
    "KEYED",
    "MODIFIERS",
    "STRATEGIES",
    "Balancer",
    "Clock",
    "First",
    "FirstSpec",
    "LeastConnections",
    "LeastConnectionsSpec",
    "LeastLoad",
    "LeastLoadSpec",
    "Member",
    "Modifier",
    "ModifierSpec",
    "Observer",
    "P2CSpec",
    "PeakEwma",
    "PeakEwmaSpec",
    "PowerOfTwoChoices",
    "RandomChoice",
    "RandomSpec",
    "RoundRobin",
    "RoundRobinSpec",
    "Spec",
    "Sticky",
    "StickySpec",
    "Strategy",
    "Tally",
    "BoundedLoad",
    "BoundedLoadSpec",
    "Maglev",
    "MaglevSpec",
    "MultiProbe",
    "MultiProbeSpec",
    "Rendezvous",
    "RendezvousSpec",
    "RingHash",
    "RingHashSpec",
    "View",
    "WeightedRoundRobin",
    "WeightedRoundRobinSpec",
    "compose",
]
