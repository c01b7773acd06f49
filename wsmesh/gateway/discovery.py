"""Reads nodes and secret of the registry for a gateway, which is no member of the cluster."""

from __future__ import annotations

import os
import random

import structlog
import trio

from wsmesh.cluster.joining import shared_secret
from wsmesh.cluster.registry import NodeRegistry
from wsmesh.cluster.view import View
from wsmesh.config.sections import Config
from wsmesh.errors import StoreUnavailable
from wsmesh.gateway.desk import Desk
from wsmesh.store.redis.client import open_redis
from wsmesh.store.redis.embedded_place import as_client

log = structlog.get_logger("wsmesh.gateway")


async def read_registry(config: Config, desk: Desk, rng: random.Random) -> None:
    """Keep the desk informed until cancelled. Without Redis the last known nodes stay."""
    section = as_client(config.redis, os.environ)
    async with open_redis(section, rng=rng, name="wsmesh-gateway") as redis:
        registry = NodeRegistry(redis, config.redis.prefix)
        is_reached = True
        while True:
            try:
                roll = await registry.read()
                if not desk.secret:
                    desk.secret = await shared_secret(registry)
            except StoreUnavailable as error:
                if is_reached:
                    log.warning("gateway.no_registry", error=str(error))
                is_reached = False
            else:
                if not is_reached:
                    log.info("gateway.registry_again")
                is_reached = True
                view = View().merged(roll.listing, trio.current_time(), config.node.node_timeout)
                alive = {
                    str(each.record.identity) for each in roll.listing.nodes if each.lease > 0
                }
                members = view.for_balancers().members
                desk.placing.fleet.listed(member for member in members if member.id in alive)
            await trio.sleep(config.gateway.refresh_interval)
