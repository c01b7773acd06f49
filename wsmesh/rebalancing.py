"""Evens out: this node's part in rounds that every node plans for itself.

All nodes see nearly the same view and plan the same, so nobody has to lead: each carries out what
the plan says about its own clients. Of the others' it knows only how many there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil, inf

import structlog
import trio
from attrs import define, evolve, field

from balancers.interface import View
from failover.interface import Orphan, Policy
from failover.rebalance import Round
from wsmesh.cluster.membership import REPORT_PERIOD, Membership
from wsmesh.cluster.nodes import NodeState
from wsmesh.cluster.verdicts import Duty
from wsmesh.config.rebalance import rebalance_of
from wsmesh.config.sections import Config
from wsmesh.departures import Departure
from wsmesh.moving import Moves
from wsmesh.protocol import codes
from wsmesh.session.sending_away import GRACE
from wsmesh.session.session import Session

SETTLED = 2 * REPORT_PERIOD
"""Seconds after which the others' reports have counted those who moved."""

log = structlog.get_logger("wsmesh.node")


@define(eq=False, kw_only=True)
class Rebalancing:
    """Rounds of one node.

    :param config: returns the configuration as it is now.
    """

    config: Callable[[], Config]
    moves: Moves
    membership: Membership
    _before: Round = field(factory=Round, init=False)
    _is_confirmed: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Take part until cancelled."""
        while True:
            # At about the same time as the others, with the last reports of everybody.
            await trio.sleep(SETTLED)
            interval = self.config().rebalance.interval
            await trio.sleep(interval - time.time() % interval)
            if self.config().rebalance.enabled:
                await self._take_part()

    async def _take_part(self) -> None:
        own, began = str(self.membership.identity), trio.current_time()
        sessions = {
            session.client: session for session in self.moves.registry
            if began - session.moved > GRACE  # others are on their way
        }
        view = self._view(own, len(sessions))
        if len(sessions) <= _fair_share(view, own):
            self._before, self._is_confirmed = Round(), False
            return
        is_unsettled = self._is_unsettled()
        planned = await trio.to_thread.run_sync(
            lambda: self._plan(view, own, list(sessions.values()), began, is_unsettled)
        )
        departures = sorted(
            Departure(max(0.0, move.at - began), move.session, move.to)
            for move in planned.moves if move.session in sessions
        )
        if departures and not self._is_confirmed:
            # Many who came since the last reports look like a node that has too many: look again.
            self._is_confirmed = True
            return
        self._is_confirmed, self._before = bool(departures), planned
        if not departures:
            return
        log.info("node.rebalancing", clients=len(departures), of=len(sessions))
        for departure in departures:
            sessions[departure.client].moved = began
        await self.moves.carry_out(
            departures, sessions, codes.FORCE_RECONNECT, began=began, reason="rebalance"
        )

    def _plan(
        self, view: View, own: str, sessions: Sequence[Session], now: float, is_unsettled: bool
    ) -> Round:
        config = self.config()
        plan = rebalance_of(config.rebalance)
        return plan.round(
            view,
            [*_orphans(sessions, own), *_strangers(view, own, plan.max_per_round)],
            # When the next one may begin is decided by `run`.
            evolve(self._before, next_at=-inf),
            Policy(rate=config.failover.accept_rate), now, self.moves.rng,
            is_unsettled=is_unsettled,
        )

    def _view(self, own: str, connections: int) -> View:
        """Return the view with what this node knows better: itself."""
        view = self.membership.view.for_balancers()
        members = (
            evolve(each, connections=connections) if each.id == own else each
            for each in view.members
        )
        return View(view.version, tuple(members))

    def _is_unsettled(self) -> bool:
        """Whether somebody is suspected, comes or goes, or another release is rolled out."""
        members = self.membership.view.members.values()
        return (
            self.membership.duty is not Duty.SERVE
            or any(seen.state is not NodeState.ALIVE for seen in members)
            or len({seen.record.version for seen in members if seen.record.weight}) > 1
        )


def _orphans(sessions: Iterable[Session], own: str) -> Iterator[Orphan]:
    for session in sessions:
        yield Orphan(
            session.client, 0, home=own, since=session.since, active=session.active,
            moved=session.moved,
        )


def _strangers(view: View, own: str, most: int) -> Iterator[Orphan]:
    """Yield stand-ins for clients of the other nodes, as many as could move in a round."""
    for member in view.members:
        if member.id != own:
            excess = member.connections - _fair_share(view, member.id)
            for number in range(min(most, ceil(excess))):
                yield Orphan(f"{member.id}#{number}", 0, home=member.id)


def _fair_share(view: View, own: str) -> float:
    """Return how many clients a member would have, were all even for their weights."""
    accepting = [each for each in view.members if each.is_accepting and each.weight > 0]
    weight = sum(each.weight for each in accepting)
    total = sum(each.connections for each in accepting)
    return sum(total * each.weight / weight for each in accepting if each.id == own)
