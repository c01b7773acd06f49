"""The balancer that a configuration asks for."""

from __future__ import annotations

import random
from collections.abc import Callable

from balancers import STRATEGIES
from balancers.balancer import Balancer, compose
from wsmesh.config.sections import Config


def balancer_of(config: Config, rng: random.Random, clock: Callable[[], float]) -> Balancer:
    """Build it.

    :raises ConfigError: its options are wrong.
    """
    return compose(STRATEGIES[config.balancer.strategy](), (), None, rng, clock)


def seed_of(config: Config) -> bytes:
    """Return what keys are hashed with, the same in all gateways of a cluster."""
    return config.cluster.secret.value.encode()[:64]
