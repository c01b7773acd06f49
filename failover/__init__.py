"""Failover strategies: where the clients of a lost or draining member go. Pure.

`STRATEGIES` names the ones that come with wsmesh; others are entry points of `wsmesh.failover`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from failover.interface import Failover, Move, Orphan, Policy, Spec
from failover.redispatch import Redispatch, RedispatchSpec

STRATEGIES: Mapping[str, type[Spec]] = MappingProxyType({"redispatch": RedispatchSpec})

__all__ = [
    "STRATEGIES",
    "Failover",
    "Move",
    "Orphan",
    "Policy",
    "Redispatch",
    "RedispatchSpec",
    "Spec",
]
