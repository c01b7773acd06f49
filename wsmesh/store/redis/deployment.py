"""From the settings to the deployment that the URL names."""

from __future__ import annotations

import random
from functools import partial

from wsmesh.config.redis_url import Deployment
from wsmesh.store.redis.cluster import Cluster
from wsmesh.store.redis.connection import connect_to
from wsmesh.store.redis.master import Master, Patron
from wsmesh.store.redis.sentinel import Sentinels
from wsmesh.store.redis.settings import Settings
from wsmesh.store.redis.topology import Standalone, Topology


def deploy(settings: Settings, rng: random.Random, patron: Patron) -> Topology:
    """Return the topology that the URL names, not yet connected.

    :param patron: whom the links serve.
    """
    match settings.target.deployment:
        case Deployment.SENTINEL:
            return Sentinels(settings, rng, patron)
        case Deployment.CLUSTER:
            return Cluster(settings, rng, patron)
        case Deployment.STANDALONE:
            (address,) = settings.target.addresses
            return Standalone(
                Master(
                    str(address), partial(connect_to, settings, address),
                    bounds=settings.bounds, rng=rng, patron=patron,
                )
            )
