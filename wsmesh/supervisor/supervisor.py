"""The supervisor: a gateway and nodes that are kept running, restarted in turn, added, removed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import structlog
import trio
from attrs import define, field

from wsmesh.config.supervisor import SupervisorSection
from wsmesh.errors import ConfigError, WsmeshError
from wsmesh.supervisor.giving_up import Loss, find_loss
from wsmesh.supervisor.keeper import Keeper
from wsmesh.supervisor.life import Life
from wsmesh.supervisor.machine import Machine
from wsmesh.supervisor.roles import Cast, Role

CLEANUP = 12.0
"""Seconds that a process may take beyond its graceful stop: leaving the cluster and the store."""

GATEWAY_FIRST = 1.0
"""Seconds that the gateway has to stop accepting before the nodes are told to stop."""

log = structlog.get_logger("wsmesh.supervisor")


class ClusterLost(WsmeshError):
    """The processes cannot be kept running; the reason is what the worst of them said last."""


@define(eq=False, kw_only=True)
class Supervisor:
    """Keeps processes running.

    :param doors: listening sockets of the gateway; empty: there is no gateway.
    :param close_doors: closes them.
    :param tell: takes each line that a process says, with its name.
    :param chance: draws from 0 to 1.
    :ivar was_complete: all processes were ready at the same time, once at least.
    """

    _cast: Cast
    _rules: SupervisorSection
    _machine: Machine
    _doors: tuple[int, ...]
    _close_doors: Callable[[], None]
    _tell: Callable[[str, bytes], None]
    _chance: Callable[[], float]
    _start_soon: Callable[..., None]
    was_complete: bool = field(default=False, init=False)
    _gateway: Keeper | None = field(default=None, init=False)
    _nodes: dict[int, Keeper] = field(factory=dict, init=False)
    _served_at: float = field(factory=trio.current_time, init=False)
    _news: trio.Event = field(factory=trio.Event, init=False)
    _turn: trio.Lock = field(factory=trio.Lock, init=False)
    """Held by who restarts, adds or removes nodes."""
    _changing: set[trio.CancelScope] = field(factory=set, init=False)
    _is_stopping: bool = field(default=False, init=False)

    @property
    def gateway(self) -> Keeper | None:
        """The gateway, if there is one."""
        return self._gateway

    @property
    def nodes(self) -> tuple[Keeper, ...]:
        """The nodes in the order of their numbers; those that are being removed too."""
        return tuple(keeper for _, keeper in sorted(self._nodes.items()))

    @property
    def is_complete(self) -> bool:
        """Whether all processes take clients, and nobody stops them."""
        return not self._is_stopping and all(each.is_ready for each in self._keepers())

    async def wait_complete(self) -> None:
        """Wait until all processes take clients."""
        await self._until(lambda: self.is_complete)

    async def scale_to(self, count: int) -> None:
        """Have so many nodes: the new ones are ready, those with the highest numbers drained.

        It waits for a rolling restart to end.

        :raises ConfigError: they would have no store to share, or no addresses.
        """
        if count > 1 and not self._cast.shares_store and not self._cast.config.redis.url:
            raise ConfigError("redis.url", [
                "several nodes need a store that they share; the supervisor was started without one"
            ])
        roles = {number: self._cast.node(number) for number in range(1, count + 1)}
        await self._alone(partial(self._scale, count, roles))

    async def roll(self) -> None:
        """Restart the nodes one after the other; each is ready before the next is stopped.

        When one does not come back in time the others stay as they are.
        """
        await self._alone(self._roll)

    def reload(self) -> None:
        """Tell all processes to read their configuration again."""
        for keeper in self._keepers():
            keeper.reload()

    async def stop(self) -> None:
        """Stop everything: the gateway first, so that nobody is placed on a node that stops."""
        self._is_stopping = True
        for scope in tuple(self._changing):
            scope.cancel()
        self._close_doors()
        for node in self.nodes:
            node.let_end()
        gateway = self._gateway
        if gateway is not None:
            gateway.retire()
            with trio.move_on_after(GATEWAY_FIRST):
                await self._until(lambda: not gateway.is_ready)
        for node in self.nodes:
            node.retire()
        await self._until(lambda: not self._keepers())

    def hurry(self) -> None:
        """Stop at once, after `stop` began: clients are cut off, what does not obey is killed."""
        for keeper in self._keepers():
            keeper.retire()

    async def wait_lost(self) -> WsmeshError:
        """Wait until the cluster cannot be kept; return the reason, to be raised."""
        while True:
            now = trio.current_time()
            standings = [keeper.standing() for keeper in self._keepers()]
            self.was_complete = self.was_complete or self.is_complete
            if any(each.is_running and not each.is_gateway for each in standings):
                self._served_at = now
            loss = None if self._is_stopping else find_loss(
                standings, was_complete=self.was_complete, outage=now - self._served_at,
                rules=self._rules,
            )
            if loss is not None:
                log.error("supervisor.gave_up", reason=loss.reason)
                return self._explain(loss)
            with trio.move_on_after(1.0):  # an outage is no news, and grows
                await self._news.wait()

    def begin(self, count: int) -> None:
        """Start everything; to be called once."""
        if self._doors:
            self._gateway = self._keep(self._cast.gateway(self._doors), 0)
        for number in range(1, count + 1):
            self._nodes[number] = self._keep(self._cast.node(number), number)

    def _keep(self, role: Role, number: int) -> Keeper:
        life = Life(
            rules=self._rules, chance=self._chance,
            stop_within=self._cast.config.node.shutdown_timeout + CLEANUP,
        )
        keeper = Keeper(
            role=role, life=life, machine=self._machine, changed=self._change, tell=self._tell
        )
        self._start_soon(self._run, keeper, number)
        return keeper

    async def _run(self, keeper: Keeper, number: int) -> None:
        await keeper.run()
        if keeper.role.is_gateway:
            self._gateway = None
        else:
            del self._nodes[number]
        self._change()

    async def _alone(self, change: Callable[[], Awaitable[None]]) -> None:
        """Change the nodes as the only one who does; `stop` cancels it."""
        with trio.CancelScope() as scope:
            self._changing.add(scope)
            try:
                async with self._turn:
                    if not self._is_stopping:
                        await change()
            finally:
                self._changing.discard(scope)

    async def _scale(self, count: int, roles: Mapping[int, Role]) -> None:
        leaving = [keeper for number, keeper in self._nodes.items() if number > count]
        for keeper in leaving:
            keeper.retire()
        for number, role in roles.items():
            if number not in self._nodes:
                self._nodes[number] = self._keep(role, number)
        log.info("supervisor.scaled", nodes=count, leaving=len(leaving))
        await self._until(
            lambda: len(self._nodes) == count and all(node.is_ready for node in self.nodes)
        )

    async def _roll(self) -> None:
        for node in self.nodes:
            if not await self._restart(node):
                log.error("rolling.abandoned", name=node.role.name)
                return
            await trio.sleep(self._rules.rolling_pause)
        log.info("rolling.finished", nodes=len(self._nodes))

    async def _restart(self, node: Keeper) -> bool:
        """Restart a node; return whether it is ready again in time."""
        restarts = node.restarts
        node.stop()
        await self._until(lambda: node.restarts > restarts)
        with trio.move_on_after(self._rules.start_timeout):
            await self._until(lambda: node.is_ready)
            return True
        return False

    def _keepers(self) -> list[Keeper]:
        return [*([] if self._gateway is None else [self._gateway]), *self.nodes]

    def _change(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._news.wait()

    def _explain(self, loss: Loss) -> WsmeshError:
        (keeper,) = [each for each in self._keepers() if each.role.name == loss.name]
        said = list(keeper.newest) or ["it said nothing"]
        if keeper.life.refuses:
            return ConfigError(loss.name, said)
        return ClusterLost("\n".join((f"{loss.reason}; it said last:", *said)))


@asynccontextmanager
async def open_supervisor(
    cast: Cast, rules: SupervisorSection, machine: Machine, count: int, *,
    doors: tuple[int, ...] = (), close_doors: Callable[[], None] = lambda: None,
    tell: Callable[[str, bytes], None], chance: Callable[[], float],
) -> AsyncGenerator[Supervisor]:
    """Keep a gateway, if there are doors, and nodes; what still runs at the end is killed.

    See `Supervisor` for the parameters.

    :param count: of nodes.
    """
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(
            cast=cast, rules=rules, machine=machine, doors=doors, close_doors=close_doors,
            tell=tell, chance=chance, start_soon=nursery.start_soon,
        )
        supervisor.begin(count)
        try:
            yield supervisor
        finally:
            nursery.cancel_scope.cancel()
