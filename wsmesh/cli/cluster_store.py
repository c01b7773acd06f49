"""Reading and weighing the cluster in its store, without being a member."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TypeVar

import click
import trio
from attrs import evolve

from balancers import Member
from wsmesh import logs
from wsmesh.cluster.registry import NodeRegistry
from wsmesh.cluster.view import Listing, View
from wsmesh.config.sections import Config
from wsmesh.errors import StoreUnavailable
from wsmesh.session.mesh_peers import described
from wsmesh.session.orders import NodeInfo

T = TypeVar("T")


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


def read_releases(config: Config, timeout: float) -> tuple[list[NodeInfo], Mapping[str, float]]:
    """Return the nodes whose lease has not run out, and the share that each release has.

    :param timeout: seconds.
    :raises click.ClickException: the store cannot be read.
    """
    roll = _do(config, timeout, NodeRegistry.read)
    now = time.time()
    nodes = [
        described(each.record, each.record.state, now)
        for each in roll.listing.nodes if each.lease > 0
    ]
    return nodes, roll.releases


def set_releases(config: Config, timeout: float, shares: Mapping[str, float]) -> None:
    """Set the share of each release, without any: as it was before the last change.

    :raises click.ClickException: the store cannot be written.
    """
    _do(config, timeout, lambda registry: registry.set_releases(shares))


def _listing(config: Config, timeout: float) -> Listing:
    return _do(config, timeout, NodeRegistry.read).listing


def _do(
    config: Config, timeout: float, action: Callable[[NodeRegistry], Awaitable[T]]
) -> T:
    """Do something with the registry; raises click.ClickException when the store is away."""
    # What a node logs of its connections is no news in a table.
    with logs.open_logs(evolve(config.log, level="error", file="")):
        return trio.run(partial(_with_registry, config, timeout, action))


async def _with_registry(
    config: Config, within: float, action: Callable[[NodeRegistry], Awaitable[T]]
) -> T:
    from wsmesh.store.redis.client import open_redis
    from wsmesh.store.redis.embedded_place import as_client

    section = as_client(config.redis, os.environ)
    with trio.move_on_after(within):
        async with open_redis(section, rng=random.Random(), name="wsmesh-cluster") as redis:
            while True:
                try:
                    return await action(NodeRegistry(redis, section.prefix))
                except StoreUnavailable:
                    await trio.sleep(0.1)
    raise click.ClickException(f"cannot read the store of the configuration within {within:g} s")
