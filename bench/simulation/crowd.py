"""The crowd: every client with its gateway and its node, and how it gets to another one."""

from __future__ import annotations

import random
from collections.abc import Callable

from balancers.balancer import Balancer
from balancers.hashing import mixed
from balancers.interface import Member, Observer
from bench.simulation.agenda import Agenda
from bench.simulation.choice import Choice
from bench.simulation.fleet import Fleet
from bench.simulation.registry import Registry
from bench.simulation.scenario import Scenario
from bench.simulation.trace import Change

AWAY, ENDED = -1, -2
"""Instead of a node: a client looks for one, or has gone for good."""

HANDSHAKE = 0.005
"""Seconds that a handshake takes apart from waiting; strategies observe the sum."""

FIRST_BACKOFF, LAST_BACKOFF = 0.5, 30.0
"""Seconds that a rejected client waits at most, the first time and after many."""


def _ignore(name: str) -> None:
    """Learn nothing."""


class Crowd:
    """Clients by their number, in lists; the engine appends to them.

    :ivar homes: the node of each client, `AWAY` or `ENDED`.
    :ivar gates: the gateway of each.
    :ivar keys: the hashed key of each.
    :ivar strategies: one for each gateway.
    :ivar opened: what tells each gateway's strategy that it placed a client.
    :ivar closed: what tells it that such a client has gone.
    :ivar rejected: attempts that ended without a node.
    :ivar refused: refusals by single nodes.
    """

    __slots__ = (
        "_agenda", "_attempts", "_counts_own", "_fleet", "_registry", "_return_within", "_salt",
        "_suspicion", "closed", "gates", "homes", "keys", "opened", "refused", "rejected",
        "strategies",
    )

    def __init__(
        self, scenario: Scenario, choice: Choice, seed: int, fleet: Fleet, registry: Registry,
        agenda: Agenda,
    ) -> None:
        gateways = scenario.gateways
        zones = sorted({group.zone for group in scenario.nodes})
        self._agenda, self._fleet, self._registry = agenda, fleet, registry
        self._attempts, self._suspicion = gateways.attempts, gateways.suspicion
        self._counts_own = gateways.counts_own
        self._return_within = scenario.sessions.return_within
        self._salt = random.Random(f"{seed}/returns").getrandbits(64)
        self.homes: list[int] = []
        self.gates: list[int] = []
        self.keys: list[int] = []
        self.strategies = [
            choice.build(
                random.Random(f"{seed}/gateway/{number}"),
                lambda: agenda.now,
                zones[number % len(zones)],
            )
            for number in range(gateways.count)
        ]
        self.opened: list[Callable[[str], None]] = [
            each.opened if gateways.counts_own else _ignore for each in self.strategies
        ]
        self.closed: list[Callable[[str], None]] = [
            each.closed if gateways.counts_own and gateways.sees_ends else _ignore
            for each in self.strategies
        ]
        self.rejected = 0
        self.refused = 0

    def settle(
        self, session: int, member: Member | None, attempt: int = 0, change: Change | None = None
    ) -> None:
        """Place an absent client on the member that was picked for it, or the next in rank.

        Whom nobody takes comes back after a random part of a growing time.

        :param change: what the client lost its node to.
        """
        fleet, registry, now = self._fleet, self._registry, self._agenda.now
        gateway, key = self.gates[session], self.keys[session]
        strategy = self.strategies[gateway]
        tried: set[str] = set()
        while member is not None:
            name = member.id
            self.opened[gateway](name)
            node = fleet.index[name]
            wait = fleet.admit(node, now)
            if wait is not None:
                if isinstance(strategy, Observer):
                    strategy.observed(name, HANDSHAKE + wait)
                if tried and isinstance(strategy, Balancer):
                    strategy.placed(key, name)
                self.homes[session] = node
                if change is not None:
                    change.landed[node] = change.landed.get(node, 0) + 1
                return
            if self._counts_own:
                strategy.closed(name)
            self.refused += 1
            if isinstance(strategy, Observer):
                strategy.observed(name, None)
            until = now + self._suspicion
            registry.suspect(gateway, name, until)
            self._agenda.later(until, registry.expire)
            tried.add(name)
            if len(tried) == self._attempts:
                break
            registry.refresh(now)
            ranked = strategy.rank(key, registry.views[gateway])
            member = next((each for each in ranked if each.id not in tried), None)
        self.rejected += 1
        backoff = min(LAST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(attempt, 10))
        due = now + backoff * self._drawn(session, attempt + 1)
        self._agenda.later(due, self._return, session, attempt + 1, change)

    def orphan(self, node: int, change: Change | None) -> None:
        """Have every client of a node lose it, and return within the scenario's time."""
        now = self._agenda.now
        for session in self._on(node):
            self._detach(session, node)
            due = now + self._return_within * self._drawn(session, 0)
            self._agenda.later(due, self._return, session, 0, change)

    def send_elsewhere(self, node: int, over: float, change: Change) -> None:
        """Have every client of a node go to another within so many seconds."""
        now = self._agenda.now
        for session in self._on(node):
            due = now + over * self._drawn(session, 0)
            self._agenda.later(due, self._move, session, node, self._fleet.names[node], change)

    def _move(self, session: int, node: int, name: str, change: Change) -> None:
        if self.homes[session] == node and self._fleet.names[node] == name:
            self._detach(session, node)
            self._return(session, 0, change)

    def _return(self, session: int, attempt: int, change: Change | None) -> None:
        if self.homes[session] != AWAY:
            return
        registry = self._registry
        if registry.is_stale:
            registry.refresh(self._agenda.now)
        gateway = self.gates[session]
        member = self.strategies[gateway].pick(self.keys[session], registry.views[gateway])
        self.settle(session, member, attempt, change)

    def _detach(self, session: int, node: int) -> None:
        self._fleet.left(node, self._agenda.now)
        self.closed[self.gates[session]](self._fleet.names[node])
        self.homes[session] = AWAY

    def _on(self, node: int) -> list[int]:
        return [session for session, home in enumerate(self.homes) if home == node]

    def _drawn(self, session: int, attempt: int) -> float:
        """Return a number from 0 to 1 that depends on nothing that a strategy decides."""
        return mixed(self._salt ^ session, attempt + 1) / 2.0**64
