"""Cleaning up after dead nodes: one node at a time does it for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from attrs import define, field

from wsmesh.cluster.nodes import Identity
from wsmesh.cluster.registry import NodeRegistry
from wsmesh.errors import StoreUnavailable

log = structlog.get_logger("wsmesh.cluster")


@define(eq=False)
class Cleaning:
    """Removes what dead nodes left behind; two nodes doing it does no harm.

    :param clean_up: removes it; idempotent, may raise StoreUnavailable.
    :ivar is_under_way: another one need not be started.
    """

    registry: NodeRegistry
    clean_up: Callable[[Identity], Awaitable[None]]
    is_under_way: bool = field(default=False, init=False)

    async def run(self, remains: tuple[Identity, ...]) -> None:
        """Clean up after these, and have the registry forget them."""
        try:
            for who in remains:
                await self.clean_up(who)
                await self.registry.cleaned_up(who)
                log.info("cluster.cleaned_up", node=str(who))
        except StoreUnavailable as error:
            log.warning("cluster.not_cleaned_up", error=str(error))
        finally:
            self.is_under_way = False
