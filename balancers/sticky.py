"""Sticky: a key goes where it went before, as long as that member is eligible. O(1) on top.

Remembers the keys used last, like HAProxy's stick tables; nothing is shared between processes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from attrs import frozen

from balancers.described import Described, described_by
from balancers.interface import Clock, Member, Strategy, View, observers_of
from balancers.options import option, within
from balancers.tally import Tally


class Sticky:
    """Implements `interface.Strategy` and `interface.Observer` around a strategy.

    :param ttl: seconds after which a key that is not used is forgotten.
    :param max_entries: keys at most; the one unused for longest makes room.
    """

    def __init__(
        self, strategy: Strategy, clock: Clock, *, ttl: float, max_entries: int
    ) -> None:
        self._strategy = strategy
        self._learners = observers_of((strategy,))
        self._clock = clock
        self._ttl = ttl
        self._max_entries = max_entries
        self._tally = Tally()
        # key -> (member, last used), the longest unused first.
        self._homes: OrderedDict[int, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many keys are remembered."""
        return len(self._homes)

    def rank(self, key: int, view: View) -> Sequence[Member]:
        """Return the key's member first, then the others as the strategy ranks them."""
        home = self._home(key, view, self._clock())
        ranked = self._strategy.rank(key, view)
        if home is None:
            return ranked
        return (home, *(member for member in ranked if member.id != home.id))

    def pick(self, key: int, view: View) -> Member | None:
        """Return the key's member, or the strategy's pick, which the key keeps."""
        now = self._clock()
        member = self._home(key, view, now)
        if member is None:
            member = self._strategy.pick(key, view)
            if member is None:
                return None
        self._keep(key, member.id, now)
        return member

    def placed(self, key: int, member: str) -> None:
        """Remember that a key went to this member (by id), where that is not what `pick` said."""
        self._keep(key, member, self._clock())

    def opened(self, member: str) -> None:
        """Count a connection on top of the member's report."""
        self._strategy.opened(member)
        self._tally.opened(member)

    def closed(self, member: str) -> None:
        """Count a connection's end."""
        self._strategy.closed(member)
        self._tally.closed(member)

    def observed(self, member: str, seconds: float | None) -> None:
        """Tell the strategy."""
        for learner in self._learners:
            learner.observed(member, seconds)

    def described(self, view: View) -> Mapping[str, Mapping[str, Described]]:
        """Return what the strategy says."""
        return described_by(self._strategy, view)

    def _home(self, key: int, view: View, now: float) -> Member | None:
        tally = self._tally
        if view is not tally.view:
            tally.adopt(view)
            # The strategy must see it too, before more is opened: it tells by the reports in it
            # which connections they include.
            self._strategy.rank(key, view)
        name, used = self._homes.get(key, ("", now))
        member = view.by_id.get(name)
        if member is None or now - used >= self._ttl:
            return None
        has_room = tally.load[name] < member.capacity
        return member if has_room and member.is_accepting and member.weight > 0 else None

    def _keep(self, key: int, member: str, now: float) -> None:
        homes = self._homes
        homes[key] = (member, now)
        homes.move_to_end(key)
        if len(homes) > self._max_entries:
            homes.popitem(last=False)
        while now - next(iter(homes.values()))[1] >= self._ttl:
            homes.popitem(last=False)


@frozen(kw_only=True)
class StickySpec:
    """The options of `sticky`."""

    ttl: float = option(
        600.0, "A key that is not used for so long is forgotten.", check=within(0, above=True),
        unit="s",
    )
    max_entries: int = option(
        100_000, "Keys at most; the one unused for longest makes room.", check=within(1)
    )

    def build(self, strategy: Strategy, clock: Clock) -> Sticky:
        """Make the strategy that goes around another."""
        return Sticky(strategy, clock, ttl=self.ttl, max_entries=self.max_entries)
