"""Carries out plans: tells each client in its turn where to go."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
import trio
from attrs import define, field

from balancers.interface import View
from wsmesh.cluster.membership import Membership
from wsmesh.config.sections import Config
from wsmesh.departures import Departure, departures, return_window
from wsmesh.errors import Disconnect
from wsmesh.metrics import Metrics
from wsmesh.protocol import tickets
from wsmesh.session.registry import Registry
from wsmesh.session.sending_away import send_away
from wsmesh.session.session import Session

TICKET_LASTS = 30.0
"""Seconds: as long as a client may try to get where it was sent."""

log = structlog.get_logger("wsmesh.node")


@define(eq=False, kw_only=True)
class Moves:
    """Sends clients of this node elsewhere, and knows how long all of them would need.

    :param config: returns the configuration as it is now.
    """

    config: Callable[[], Config]
    registry: Registry[Session]
    membership: Membership | None
    metrics: Metrics
    rng: random.Random = field(factory=random.Random)

    def window(self) -> float:
        """Return the seconds that all clients of this node need to come back elsewhere."""
        view, own = self._seen()
        rate = self.config().failover.accept_rate
        return return_window(view, own, len(self.registry), rate)

    async def send_all(
        self, why: Disconnect, within: float, reason: str, *, must_go: bool = False
    ) -> None:
        """Tell every client to go, one after the other, as the failover strategy plans it.

        :param why: what clients are closed with.
        :param within: seconds until the last one must be gone.
        :param reason: for metrics and clients' logs.
        :param must_go: the connections of those that can move are closed, too, if they do not.
        """
        sessions = {session.client: session for session in self.registry}
        if not sessions:
            return
        view, own = self._seen()
        began = trio.current_time()
        config = self.config()
        try:
            # Some hundredths of a second for ten thousand clients, which others should not wait.
            planned = await trio.to_thread.run_sync(
                departures, config, view, own, tuple(sessions), within, self.rng,
                abandon_on_cancel=True,
            )
        except Exception:
            # Of a strategy that is somebody else's: then all are told at once.
            log.exception("moves.not_planned", strategy=config.failover.strategy)
            planned = [Departure(0.0, client) for client in sessions]
        await self.carry_out(
            planned, sessions, why, began=began, reason=reason, must_go=must_go
        )

    async def carry_out(
        self, planned: Sequence[Departure], sessions: Mapping[str, Session], why: Disconnect, *,
        began: float, reason: str, must_go: bool = False,
    ) -> None:
        """Tell clients when their time has come; those that left meanwhile are left out.

        :param began: trio's time from which departures count.
        """
        for each in planned:
            await trio.sleep_until(began + each.at)
            session = sessions[each.client]
            if session.is_over:
                continue
            url, ticket = self._way_to(each.to)
            hears = send_away(
                session, why, url=url, ticket=ticket, reason=reason, must_go=must_go
            )
            self.metrics.count_sent_away(reason, is_closed=not hears)

    def _way_to(self, member: str) -> tuple[str, str]:
        """Return a member's own URL, if it has one, and a ticket to it."""
        if self.membership is None or not member:
            return "", ""
        seen = self.membership.view.members.get(member.rpartition("/")[0])
        url = "" if seen is None else seen.record.url
        expires = time.time() + TICKET_LASTS
        return url, tickets.issue(self.membership.terms.secret, member, expires)

    def _seen(self) -> tuple[View, str]:
        if self.membership is None:
            return View(0, ()), ""
        return self.membership.view.for_balancers(), str(self.membership.identity)
