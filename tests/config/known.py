"""Strategies that tests of the configuration know, whatever is installed."""

from __future__ import annotations

from functools import partial

from balancers import STRATEGIES as BALANCERS
from failover import STRATEGIES as FAILOVERS
from wsmesh.config.strategies import Strategies

NAMES = ("p2c", "ring_hash", "bounded_load", "round_robin")
STRATEGIES = Strategies(
    balancers={name: partial(BALANCERS.__getitem__, name) for name in NAMES},
    failovers={
        name: partial(FAILOVERS.__getitem__, name) for name in ("redispatch", "spread")
    },
)
