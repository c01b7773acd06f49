"""Failover strategies: where the clients of a lost or draining member go. Pure.

`STRATEGIES` names the ones that come with wsmesh; others are entry points of `wsmesh.failover`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from failover.failback import FAILBACKS, Failback, Gradual, NoFailback, OnReconnect
from failover.interface import Failover, Move, Order, Orphan, Policy, Shed, Spec
from failover.rebalance import Rebalance, Round
from failover.redispatch import Redispatch, RedispatchSpec
from failover.replica import Replica, ReplicaSpec
from failover.shed import shed
from failover.spread import Spread, SpreadSpec
from failover.standby import Standby, StandbySpec
from failover.successor import Successor, SuccessorSpec
from failover.waiting import WaitThenRedispatch, WaitThenRedispatchSpec

STRATEGIES: Mapping[str, type[Spec]] = MappingProxyType(
    {
        "redispatch": RedispatchSpec,
        "successor": SuccessorSpec,
        "spread": SpreadSpec,
        "replica": ReplicaSpec,
        "standby": StandbySpec,
        "wait_then_redispatch": WaitThenRedispatchSpec,
    }
)

__all__ = [
    "FAILBACKS",
    "STRATEGIES",
    "Failback",
    "Failover",
    "Gradual",
    "Move",
    "NoFailback",
    "OnReconnect",
    "Order",
    "Orphan",
    "Policy",
    "Rebalance",
    "Redispatch",
    "RedispatchSpec",
    "Replica",
    "ReplicaSpec",
    "Round",
    "Shed",
    "Spec",
    "Spread",
    "SpreadSpec",
    "Standby",
    "StandbySpec",
    "Successor",
    "SuccessorSpec",
    "WaitThenRedispatch",
    "WaitThenRedispatchSpec",
    "shed",
]
