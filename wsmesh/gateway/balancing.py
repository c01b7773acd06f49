"""The balancer that a configuration asks for."""

from __future__ import annotations

import random
from collections.abc import Callable

from balancers.balancer import Balancer, compose
from wsmesh.config.balancing import modifiers_of, sticky_of
from wsmesh.config.faults import did_you_mean
from wsmesh.config.sections import Config
from wsmesh.config.strategies import built, installed
from wsmesh.errors import ConfigError


def balancer_of(config: Config, rng: random.Random, clock: Callable[[], float]) -> Balancer:
    """Build it.

    :raises ConfigError: there is no such strategy, or its options are wrong.
    """
    section, known = config.balancer, installed().balancers
    if section.strategy not in known:
        text = f"balancer.strategy: unknown{did_you_mean(section.strategy, known)}"
        raise ConfigError("wsmesh", [text])
    spec, faults = built(
        section.strategy, known[section.strategy], section.options, "balancer.options"
    )
    if faults:
        raise ConfigError("wsmesh", [f"{fault.path}: {fault.text}" for fault in faults])
    modifiers = modifiers_of(section, config.cluster.zone)
    return compose(spec, modifiers, sticky_of(section), rng, clock)


def seed_of(config: Config) -> bytes:
    """Return what keys are hashed with, the same in all gateways of a cluster."""
    return config.cluster.secret.value.encode()[:64]
