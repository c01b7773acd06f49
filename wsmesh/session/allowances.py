"""What users may send on all nodes together: leased from the store in advance, spent here.

A lease is a fortieth of a second's worth, so that a node which has one and does not use it
withholds little, and the store is asked little. Messages that are read before an answer has come
are owed and taken out of the next lease. A user who is out of messages is paused, as for the rate
of a connection (docs/decisions/message-rate.md).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from math import inf

import structlog
from attrs import define

from wsmesh.errors import StoreUnavailable
from wsmesh.security.rate import Rate, granted
from wsmesh.store.users import Lease, UserStore

LEASES_PER_SECOND = 40
KEPT = 1.0
"""Seconds after which what is left of a lease is void."""
MOST_USERS = 100_000
"""Users remembered; who is forgotten begins with nothing leased and nothing owed."""

Spawn = Callable[[Callable[[], Awaitable[None]]], None]
"""Runs a function in a nursery of the node."""

log = structlog.get_logger("wsmesh.limits")


@define(eq=False)
class _Account:
    """One user here.

    :ivar left: messages leased and not sent, below 0: owed.
    :ivar tat: what `granted` needs, for leases that the store does not give.
    """

    left: int = 0
    leased_at: float = -inf
    blocked_until: float = -inf
    is_asking: bool = False
    tat: float = 0.0


class Allowances:
    """The accounts of this node.

    :param store: None: this node alone counts.
    :param nodes: returns how many nodes there are, to share the rate when the store is away.
    :param spawn: runs what asks the store.
    :ivar is_limited: there is a rate at all.
    """

    def __init__(
        self, store: UserStore | None, nodes: Callable[[], int], now: Callable[[], float],
        spawn: Spawn,
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._now = now
        self._spawn = spawn
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self.is_limited = False
        self._rate: Rate | None = None
        self._lease = 1
        self._is_away = False

    def __len__(self) -> int:
        return len(self._accounts)

    def configure(self, per_second: float, burst: int) -> None:
        """Go by this rate from now on; infinity: by none."""
        self.is_limited = per_second != inf
        self._rate = Rate(per_second, burst) if self.is_limited else None
        self._lease = min(burst, max(1, int(per_second / LEASES_PER_SECOND))) if self._rate else 1
        self._accounts.clear()

    def spend(self, user: str, messages: int) -> float:
        """Count messages that were read; return for how many seconds to read no more."""
        rate = self._rate
        if rate is None:
            return 0.0
        now = self._now()
        account = self._account(user)
        if account.left > 0 and now - account.leased_at > KEPT:
            account.left = 0
        account.left -= messages
        is_free = not account.is_asking and now >= account.blocked_until
        if is_free and account.left < self._lease / 2:
            self._ask(user, account, rate)
        if account.left >= 0:
            return 0.0
        # Owed for longer than the answer takes: the next messages wait for their turn.
        return max(0.0, account.blocked_until - now) + max(
            0, -account.left - self._lease
        ) * rate.interval

    def _account(self, user: str) -> _Account:
        account = self._accounts.get(user)
        if account is None:
            account = self._accounts[user] = _Account()
            if len(self._accounts) > MOST_USERS:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(user)
        return account

    def _ask(self, user: str, account: _Account, rate: Rate) -> None:
        want = self._lease - min(0, account.left)
        if self._store is None:
            self._take(account, self._own(account, rate, want, 1), rate)
            return
        store = self._store
        account.is_asking = True

        async def ask() -> None:
            try:
                try:
                    lease = await store.lease_messages(user, want, rate)
                    self._is_away = False
                except StoreUnavailable as error:
                    if not self._is_away:
                        log.warning("limits.store_away", error=str(error))
                    self._is_away = True
                    lease = self._own(account, rate, want, max(1, self._nodes()))
                self._take(account, lease, rate)
            finally:
                account.is_asking = False

        self._spawn(ask)

    def _own(self, account: _Account, rate: Rate, want: int, nodes: int) -> Lease:
        """Return a lease of this node's share."""
        now = self._now()
        interval, tolerance = rate.interval * nodes, rate.tolerance
        count, tat = granted(account.tat, now, interval, tolerance, want)
        account.tat = tat
        return Lease(count, 0.0 if count else tat - now - tolerance)

    def _take(self, account: _Account, lease: Lease, rate: Rate) -> None:
        now = self._now()
        account.left += lease.granted
        account.leased_at = now
        if lease.granted == 0:
            account.blocked_until = now + max(lease.wait, rate.interval)
