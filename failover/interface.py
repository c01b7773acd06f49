"""What a failover strategy is: orphans, a policy, and the moves that a strategy plans.

A plan is a value that somebody else carries out, so that it can be shown, simulated and tested
without a cluster. Draining, scaling down and rebalancing are plans too: their orphans still have
a home.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf
from typing import Protocol

from attrs import Attribute, field, frozen

from balancers.interface import Spec as BalancerSpec
from balancers.interface import View


def _positive(_: object, attribute: Attribute[float], value: float) -> None:
    if not value > 0:
        raise ValueError(f"{attribute.name}: expected a number above 0, found {value}")


@frozen
class Orphan:
    """A session that needs another home.

    :param session: its id.
    :param key: what it is placed by, hashed.
    :param home: id of the member that it must leave, whether that is still in the view or not.
    """

    session: str
    key: int
    home: str = ""


@frozen
class Move:
    """One session goes to one member.

    :param session: its id.
    :param to: id of the member.
    :param at: when, in seconds of the clock that `plan` was given.
    """

    session: str
    to: str
    at: float


@frozen(kw_only=True)
class Policy:
    """How fast a plan may go.

    :param rate: moves per second that a member takes.
    :param within: seconds after which nothing moves any more; where `rate` is too slow for that,
        it gives way.
    """

    rate: float = field(default=1_000.0, validator=_positive)
    within: float = field(default=inf, validator=_positive)


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
        An orphan without a move found no room anywhere: turn it away. The same arguments (and
        state of `rng`) give the same plan; planning changes nothing.
        """


class Spec(Protocol):
    """A strategy's options: a frozen value with defaults for all of them."""

    def build(self, balancer: BalancerSpec) -> Failover:
        """Make the strategy, which places by this balancer."""
