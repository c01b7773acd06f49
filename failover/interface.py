"""What a failover strategy is: orphans, a policy, and the moves that a strategy plans.

A plan is a value that somebody else carries out, so that it can be shown, simulated and tested
without a cluster. Draining, scaling down, rebalancing and releases are plans too: their orphans
still have a home. All times are seconds of the clock that `plan` is given.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf
from typing import Literal, Protocol

from attrs import Attribute, field, frozen

from balancers.interface import Spec as BalancerSpec
from balancers.interface import View
from balancers.options import one_of

Order = Literal["newest", "idlest"]
"""Which sessions are moved or turned away first."""


def _positive(_: object, attribute: Attribute[float], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name}: expected a number above 0, found {value}")


@frozen
class Orphan:
    """A session that needs another home, or may get one.

    :param session: its id.
    :param key: what it is placed by, hashed.
    :param home: id of the member that it must leave, whether that is still in the view or not.
    :param since: when the session began.
    :param active: when its client last sent something.
    :param lost: when it lost its home; None: now, or not yet.
    :param moved: when a plan last moved it.
    :param former: id of the member that it lived on before it had to go to `home`.
    :param replica: id of the member that holds a copy of its state.
    """

    session: str
    key: int
    home: str = ""
    since: float = 0.0
    active: float = 0.0
    lost: float | None = None
    moved: float = -inf
    former: str = ""
    replica: str = ""


@frozen
class Move:
    """One session goes to one member.

    :param session: its id.
    :param to: id of the member.
    :param at: when; its slot begins no earlier and ends no later than the plan's.
    :param reason: why there, a word for logs and dry runs.
    """

    session: str
    to: str
    at: float
    reason: str = ""


@frozen
class Shed:
    """One session is turned away.

    :param session: its id.
    :param retry_at: when it may come back.
    """

    session: str
    retry_at: float


@frozen(kw_only=True)
class Policy:
    """How fast a plan may go, and who stays out when room is short.

    :param rate: moves per second that a member takes.
    :param leave_rate: moves per second that a home gives away.
    :param within: seconds after which nothing moves any more; where the rates are too slow for
        that, they give way.
    :param turn_away: who is turned away first.
    :param retry_after: seconds before somebody who was turned away may come back.
    """

    rate: float = field(default=1_000.0, validator=_positive)
    leave_rate: float = field(default=inf, validator=_positive)
    within: float = field(default=inf, validator=_positive)
    turn_away: Order = field(default="newest", validator=one_of("newest", "idlest"))
    retry_after: float = field(default=5.0, validator=_positive)


class Failover(Protocol):
    """Plans where orphans go."""

    def plan(
        self,
        view: View,
        orphans: Sequence[Orphan],
        policy: Policy,
        now: float,
        rng: random.Random,
    ) -> tuple[Move, ...]:
        """Return at most one move for each orphan, in the order of the orphans.

        Moves go to eligible members other than the orphan's home, and never beyond a capacity.
        An orphan without a move found no room anywhere: `shed` turns it away. Where room is
        short, those that `policy` turns away last get it. The same arguments (and state of `rng`)
        give the same plan; planning changes nothing.
        """


class Spec(Protocol):
    """A strategy's options: a frozen attrs value with defaults for all of them."""

    def build(self, balancer: BalancerSpec) -> Failover:
        """Make the strategy, which places by this balancer."""
