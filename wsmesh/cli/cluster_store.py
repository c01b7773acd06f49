"""Reading the cluster from its store, without being a member."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path

import click
import trio
from attrs import evolve

from balancers import Member
from wsmesh import logs
from wsmesh.cluster.registry import NodeRegistry
from wsmesh.cluster.view import Listing, View
from wsmesh.config.redis_url import EMBEDDED
from wsmesh.config.sections import Config
from wsmesh.errors import StoreUnavailable
from wsmesh.session.mesh_peers import described
from wsmesh.session.orders import NodeInfo


def read_nodes(config: Config, timeout: float) -> list[NodeInfo]:
    """Return the nodes of the registry; one whose lease has run out is "silent".

    :param timeout: seconds.
    :raises click.ClickException: the store cannot be read.
    """
    listing = _listing(config, timeout)
    found = [
        described(each.record, each.record.state if each.lease > 0 else "silent", time.time())
        for each in listing.nodes
    ]
    return sorted(found, key=lambda node: (node.name, node.uid))


def read_members(config: Config, timeout: float) -> tuple[Member, ...]:
    """Return the nodes of the registry whose lease has not run out, as a gateway sees them.

    :param timeout: seconds.
    :raises click.ClickException: the store cannot be read.
    """
    listing = _listing(config, timeout)
    alive = {str(each.record.identity) for each in listing.nodes if each.lease > 0}
    view = View().merged(listing, 0.0, config.node.node_timeout).for_balancers()
    return tuple(member for member in view.members if member.id in alive)


def a_listener(config: Config, timeout: float) -> str:
    """Return the URL of a node of the registry that is alive.

    :raises click.ClickException: there is none.
    """
    listing = _listing(config, timeout)
    for each in listing.nodes:
        if each.lease > 0 and each.record.state == "alive":
            for address in each.record.listeners:
                if not address.startswith("unix:"):
                    return f"http://{address}"
    raise click.ClickException("no node of the cluster is alive: give --url")


def _listing(config: Config, timeout: float) -> Listing:
    # What a node logs of its connections is no news in a table.
    with logs.open_logs(evolve(config.log, level="error", file="")):
        return trio.run(partial(_read, config, timeout))


async def _read(config: Config, within: float) -> Listing:
    from wsmesh.store.redis.client import open_redis

    section = config.redis
    if section.url == EMBEDDED:
        section = evolve(section, url=_embedded_url(section.embedded_dir))
    with trio.move_on_after(within):
        async with open_redis(section, rng=random.Random(), name="wsmesh-cluster") as redis:
            why = ""
            while True:
                try:
                    return (await NodeRegistry(redis, section.prefix).read()).listing
                except StoreUnavailable as error:
                    why = why or str(error)
                    await trio.sleep(0.1)
    raise click.ClickException(f"cannot read the store of the configuration within {within:g} s")


def _embedded_url(directory: str) -> str:
    from wsmesh.store.redis.embedded import default_directory
    from wsmesh.store.redis.embedded_place import Place

    return Place(Path(directory) if directory else default_directory(os.environ)).url
