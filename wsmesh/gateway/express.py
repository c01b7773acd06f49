"""Most clients need no task: their request is here, and a node of this host takes them at once.

Read, picked and offered in one go; only what has to wait becomes an `Arrival`, beginning where
this ended. Hot path, measured by `python -m bench gateway`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio
from attrs import define, field

from wsmesh.gateway.arrival import Arrival
from wsmesh.gateway.desk import Arriving, Desk
from wsmesh.gateway.placing import Attempt
from wsmesh.gateway.reading import READ, head_in
from wsmesh.gateway.ways import told
from wsmesh.wire.http import BadRequest


@define(eq=False)
class Express:
    """Where accepted sockets go.

    :param spawn: `start_soon` of the nursery that owns the arrivals; None once it is closed.
    :ivar offered: clients that a node was offered and has not answered for.
    """

    _desk: Desk
    spawn: Callable[..., object] | None = None
    offered: int = field(default=0, init=False)
    _quiet: trio.Event = field(factory=trio.Event, init=False)

    async def wait_settled(self) -> None:
        """Return once nobody is offered to a node any more; nobody may be taken meanwhile."""
        while self.offered:
            await self._quiet.wait()

    def take(self, client: Arriving) -> None:
        """Place a client, at once or in a task of its own."""
        self._desk.metrics.accepted += 1
        if not self._offer(client):
            self._hand_to_task(client)

    def _hand_to_task(self, client: Arriving) -> None:
        if self.spawn is None:
            client.sock.close()  # the gateway ends
        else:
            self.spawn(Arrival(self._desk, client).serve)

    def _offer(self, client: Arriving) -> bool:
        """Offer the client to a node; return False where that would have to wait, or cannot be."""
        desk = self._desk
        if (
            client.certificate is not None
            or client.listener.proxy_protocol == "required"
            or desk.arriving >= desk.config.gateway.max_waiting
        ):
            return False
        try:
            client.begun += client.sock.recv(READ)
            client.request = head_in(client.begun, desk.config.limits)
        except (OSError, BadRequest):
            return False  # the task meets the same, and says so
        if client.request is None or desk.site.is_own(client.request):
            client.request = None
            return False
        client.read_at = desk.clock()
        client.claim = claim = desk.claim(client)
        if not desk.turnstile.enter_at_once():
            return False
        attempt = desk.placing.attempt(desk.placing.hashed(claim.key), target=claim.target)
        if attempt is None or not attempt.route.control:
            return self._stop(attempt)
        link = desk.links.get(attempt.route.control)
        settled = partial(self._settled, client, attempt)
        try:
            reason = "no link" if link is None else link.offer(
                client.sock, told(client, claim), settled
            )
        except BlockingIOError:
            return self._stop(attempt)
        desk.arriving += 1
        self.offered += 1
        if reason:
            settled(reason)
        return True

    def _stop(self, attempt: Attempt | None) -> bool:
        if attempt is not None:
            attempt.ended()
        self._desk.turnstile.leave()
        return False

    def _settled(self, client: Arriving, attempt: Attempt, reason: str) -> None:
        """A node took the client, or did not: then it goes on with the next."""
        desk = self._desk
        self.offered -= 1
        if not self.offered:
            self._quiet.set()
            self._quiet = trio.Event()
        desk.arriving -= 1
        desk.turnstile.leave()
        if not reason:
            desk.placed(client, attempt, "handover")
            client.sock.close()
            return
        attempt.failed(reason)
        client.tried.add(attempt.member)
        self._hand_to_task(client)
