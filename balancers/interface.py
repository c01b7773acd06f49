"""What a balancing strategy is: members, views of them, and what a strategy answers.

Everything here and in the strategies is synchronous and pure: views are values, randomness is
given when a strategy is built, as is the clock; keys are integers that `balancers.hashing` made.
A strategy's own state is what it counted itself (`opened`, `closed`), what it observed and, where
members take turns, whose it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import Attribute, Factory, field, frozen

Clock = Callable[[], float]
"""Returns monotonic seconds."""

_MOST = 1e9
"""Far beyond what is real, and sums of it are exact enough."""


def _amount(_: object, attribute: Attribute[Any], value: float) -> None:
    if not 0 <= value <= _MOST:
        raise ValueError(f"{attribute.name}: expected a number from 0 to {_MOST:g}, found {value}")


def _fraction(_: object, attribute: Attribute[float], value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{attribute.name}: expected a number from 0 to 1, found {value}")


@frozen(kw_only=True)
class Member:
    """A node that clients can be placed on, as its last report described it.

    :param id: names the member in one incarnation.
    :param address: where clients reach it; strategies do not look at it.
    :param weight: its share relative to others; 0 takes it out.
    :param capacity: connections at most.
    :param connections: connections when it reported.
    :param report: number of that report. What was opened since is counted on top of
        `connections` until the number changes.
    :param is_accepting: false while draining, fenced, suspected or starting.
    :param zone: where it runs.
    :param score: health, 1 is well and 0 is not; for strategies and modifiers that use it.
    """

    id: str
    address: str = ""
    weight: float = field(default=1.0, validator=_amount)
    capacity: int = field(default=10_000, validator=_amount)
    connections: int = field(default=0, validator=_amount)
    report: int = 0
    is_accepting: bool = True
    zone: str = ""
    score: float = field(default=1.0, validator=_fraction)

    @property
    def is_eligible(self) -> bool:
        """Whether it may get clients, as far as its report tells."""
        return self.is_accepting and self.weight > 0 and self.connections < self.capacity


def _by_id(members: Sequence[Member]) -> tuple[Member, ...]:
    return tuple(sorted(members, key=lambda member: member.id))


@frozen(eq=False)
class View:
    """The cluster at one moment; strategies recognise a view by its identity.

    :param version: grows with every change.
    :param members: in any order, kept in the order of their ids.
    :raises ValueError: two members have one id.
    """

    version: int
    members: tuple[Member, ...] = field(converter=_by_id)
    by_id: Mapping[str, Member] = field(
        init=False,
        repr=False,
        default=Factory(
            lambda view: {member.id: member for member in view.members}, takes_self=True
        ),
    )

    def __attrs_post_init__(self) -> None:
        if len(self.by_id) != len(self.members):
            raise ValueError("expected members with different ids")

    def without(self, member: str) -> View:
        """Return the view as if the member with this id were not there."""
        return View(self.version, tuple(each for each in self.members if each.id != member))


class Strategy(Protocol):
    """Places keys on members.

    A member is *eligible* when it accepts, has weight, and has room: its reported connections and
    those opened here since are fewer than its capacity. No other member is ever returned.
    """

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return every eligible member once, in order of preference.

        Takes no turn: asking twice in a row gives the same, except where chance decides.
        """

    def pick(self, key: int, view: View) -> Member | None:
        """Return the first of `rank` (for the same state of the random source), None when empty.

        Whoever places a client by it calls `opened` at once, before the next pick, so that a
        burst of clients does not all go where the last report saw room.
        """

    def opened(self, member: str) -> None:
        """Count a connection that was placed on this member (by id)."""

    def closed(self, member: str) -> None:
        """Count that a connection counted by `opened` ended, or was never made after all.

        :raises ValueError: more were closed than opened.
        """


@runtime_checkable
class Observer(Protocol):
    """A strategy or modifier that learns from how placements went."""

    def observed(self, member: str, seconds: float | None) -> None:
        """Take how the handshake of a client on this member (by id) went.

        :param seconds: how long it took; None: the member refused, or it failed.
        """


def observers_of(someones: Iterable[object]) -> tuple[Observer, ...]:
    """Return those that learn; asked once, because the question costs microseconds."""
    return tuple(each for each in someones if isinstance(each, Observer))


class Modifier(Protocol):
    """Changes what any strategy sees: less weight for some members, others not accepting.

    It never makes a member eligible that is not in the view it was given, except back to what an
    inner modifier took away (`panic`).
    """

    def modified(self, view: View) -> View:
        """Return the view to decide on.

        The same view (and, where time matters, the same step of time) gives the same object,
        because strategies prepare themselves for every other one.
        """


class Spec(Protocol):
    """A strategy's options: a frozen attrs value with defaults for all of them.

    Seconds and shares are plain numbers. An option whose `attrs.field` has `metadata` with
    `help` is explained by it; one with `unit="s"` may be written as `"10s"` in TOML.
    """

    def build(self, rng: random.Random, clock: Clock) -> Strategy:
        """Make the strategy."""


class ModifierSpec(Protocol):
    """A modifier's options, as for `Spec`."""

    def build(self, rng: random.Random, clock: Clock) -> Modifier:
        """Make the modifier."""
