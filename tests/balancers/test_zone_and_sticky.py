"""What zone and sticky promise."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from balancers import Member, RandomChoice, RandomSpec, RoundRobin, StickySpec, View, compose
from balancers.modifiers import ZoneSpec
from tests.balancers.fleets import fleet, views
from tests.balancers.moments import Hands

ZONE = ZoneSpec(zone="here")


def zones(here: tuple[int, int], there: tuple[int, int], weight: float = 1.0) -> View:
    """Return a view of (well, draining) members in each zone; those there have `weight`."""
    members = [
        Member(
            id=f"{zone}{at}", zone=zone, is_accepting=at < well,
            weight=weight if zone == "there" else 1.0,
        )
        for zone, (well, unwell) in (("here", here), ("there", there))
        for at in range(well + unwell)
    ]
    return View(1, tuple(members))


def modified(view: View, spec: ZoneSpec = ZONE) -> View:
    return spec.build(random.Random(0), Hands()).modified(view)


def local_share(view: View) -> float:
    weights = Counter({"here": 0.0, "there": 0.0})
    for member in view.members:
        if member.is_eligible:
            weights[member.zone] += member.weight
    return weights["here"] / (weights["here"] + weights["there"])


@pytest.mark.parametrize(
    ("here", "there", "weight", "expected"),
    [
        ((4, 0), (4, 0), 1.0, 1.0),
        ((5, 2), (4, 0), 1.0, 1.0),  # 5/7 * 1.4 = 1: just enough
        ((2, 1), (3, 0), 1.0, 2 / 3 * 1.4),
        ((1, 1), (9, 0), 5.0, 0.7),
        ((9, 9), (1, 0), 0.5, 0.7),
        ((1, 3), (1, 3), 1.0, 0.5),  # 0.35 each: too little together, so in proportion
        ((1, 1), (0, 3), 1.0, 1.0),
        ((0, 2), (2, 0), 1.0, 0.0),
    ],
)
def test_the_own_zone_gets_its_healthy_share_times_the_factor(
    here: tuple[int, int], there: tuple[int, int], weight: float, expected: float
) -> None:
    assert local_share(modified(zones(here, there, weight))) == pytest.approx(expected)


@given(view=views(), zone=st.lists(st.sampled_from(["here", "there", ""]), min_size=8, max_size=8))
def test_a_zone_takes_weight_away_and_nothing_else(view: View, zone: list[str]) -> None:
    view = View(view.version, tuple(
        attrs.evolve(member, zone=zone[at]) for at, member in enumerate(view.members)
    ))
    seen = modified(view)
    for before in view.members:
        after = seen.by_id[before.id]
        assert 0 <= after.weight <= before.weight * (1 + 1e-9)
        assert attrs.evolve(after, weight=before.weight) == before
    assert any(each.is_eligible for each in seen.members) == any(
        each.is_eligible for each in view.members
    )


def test_one_zone_alone_or_none_of_the_own_changes_nothing() -> None:
    for view in (zones((2, 1), (0, 0)), zones((0, 0), (2, 1)), fleet(1, 2), View(1, ())):
        assert modified(view) is view


def test_a_zones_view_is_the_same_object_for_the_same_view() -> None:
    modifier, view = ZONE.build(random.Random(0), Hands()), zones((1, 0), (1, 0))
    assert modifier.modified(view) is modifier.modified(view)


def test_picks_spill_in_the_promised_share() -> None:
    """7 of 10 go to a zone of which half is well.

    The bound of 0.0115 is 5 standard deviations of 40,000 draws: wrong once in 1.7 million seeds.
    """
    view = zones((3, 3), (2, 0))
    balancer = compose(RandomSpec(), [ZONE], None, random.Random(5), Hands())
    counted = Counter(
        member.zone for key in range(40_000) if (member := balancer.pick(key, view))
    )
    assert counted["here"] / 40_000 == pytest.approx(0.7, abs=0.0115)


def sticky(ttl: float = 600.0, max_entries: int = 100, clock: Hands | None = None, seed: int = 0):
    return StickySpec(ttl=ttl, max_entries=max_entries).build(
        RandomChoice(random.Random(seed)), clock or Hands()
    )


def test_a_key_goes_where_it_went_before() -> None:
    strategy, view = sticky(), fleet(*([0] * 50))
    homes = {key: strategy.pick(key, view) for key in range(40)}
    assert len(set(homes.values())) > 10
    other = View(2, tuple(attrs.evolve(each, report=1, connections=9) for each in view.members))
    for key, home in homes.items():
        member = strategy.pick(key, other)
        assert home is not None
        assert member is other.by_id[home.id]
        assert strategy.rank(key, other)[0] is member
        assert len(strategy.rank(key, other)) == 50


@pytest.mark.parametrize(
    "change", [{"is_accepting": False}, {"weight": 0.0}, {"connections": 1_000}, None]
)
def test_a_key_leaves_a_member_that_is_not_eligible_and_stays_where_it_went(
    change: dict[str, object] | None,
) -> None:
    strategy, view = sticky(), fleet(0, 0)
    home = strategy.pick(1, view)
    assert home is not None
    rest = view.without(home.id)
    if change is not None:
        rest = View(2, (*rest.members, attrs.evolve(home, **change)))  # type: ignore[arg-type]
    assert home.id not in [member.id for member in strategy.rank(1, rest)]
    moved = strategy.pick(1, rest)
    assert moved is not None
    assert moved.id != home.id
    assert strategy.pick(1, view) is view.by_id[moved.id]


def test_a_member_that_became_full_here_gets_none_of_its_keys() -> None:
    strategy, view = sticky(), fleet(0, 0, capacity=1)
    home = strategy.pick(1, view)
    assert home is not None
    strategy.opened(home.id)
    other = strategy.pick(1, view)
    assert other is not None
    assert other is not home
    strategy.opened(other.id)
    assert strategy.pick(1, view) is None
    strategy.closed(other.id)
    assert strategy.pick(1, view) is other


def test_a_key_keeps_its_member_when_its_connection_made_room_again() -> None:
    strategy, view = sticky(), fleet(*([0] * 50), capacity=1)
    home = strategy.pick(1, view)
    assert home is not None
    strategy.opened(home.id)
    strategy.closed(home.id)
    assert strategy.pick(1, view) is home


class Affinity(RuleBasedStateMachine):
    """Keys are picked as time passes and members come and go, next to a model that is exact."""

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        self.clock = Hands()
        self.strategy = sticky(ttl=10.0, max_entries=3, clock=self.clock, seed=seed)
        self.view = fleet(*([0] * 6))
        self.model: OrderedDict[int, tuple[str, float]] = OrderedDict()

    @rule(key=st.integers(0, 5))
    def picks(self, key: int) -> None:
        home, used = self.model.get(key, ("", 0.0))
        ranked = self.strategy.rank(key, self.view)
        member = self.strategy.pick(key, self.view)
        assert (member is None) == (not any(each.is_eligible for each in self.view.members))
        if member is None:
            return
        assert member.is_eligible
        eligible = home in self.view.by_id and self.view.by_id[home].is_eligible
        if eligible and self.clock.now - used < 10:
            assert member.id == home
            assert ranked[0] is member
        self._remember(key, member.id)

    @rule(key=st.integers(0, 5), number=st.integers(0, 5))
    def is_placed(self, key: int, number: int) -> None:
        self.strategy.placed(key, f"n{number}")
        self._remember(key, f"n{number}")

    def _remember(self, key: int, name: str) -> None:
        self.model[key] = (name, self.clock.now)
        self.model.move_to_end(key)
        for old in [old for old, (_, at) in self.model.items() if self.clock.now - at >= 10]:
            del self.model[old]
        while len(self.model) > 3:
            self.model.popitem(last=False)
        assert len(self.strategy) == len(self.model)

    @rule(quarters=st.sampled_from([1, 39, 40]))
    def time_passes(self, quarters: int) -> None:
        self.clock.forward(quarters / 4)

    @rule(number=st.integers(0, 5), is_accepting=st.booleans())
    def changes(self, number: int, is_accepting: bool) -> None:
        rest = self.view.without(f"n{number}").members
        self.view = View(2, (*rest, Member(id=f"n{number}", is_accepting=is_accepting)))

    @rule(number=st.integers(0, 5))
    def leaves(self, number: int) -> None:
        self.view = self.view.without(f"n{number}")


TestAffinity = Affinity.TestCase


def test_a_key_is_forgotten_after_the_ttl_without_use() -> None:
    clock, view = Hands(), fleet(0, 0, 0)
    strategy = StickySpec(ttl=10.0).build(RoundRobin(random.Random(0)), clock)
    home = strategy.pick(1, view)
    for _ in range(3):
        clock.forward(9.75)
        assert strategy.pick(1, view) is home
    clock.forward(10)
    assert strategy.rank(1, view)[0] is not home
    assert strategy.pick(1, view) is not home


@pytest.mark.parametrize("wrong", [{"ttl": 0.0}, {"max_entries": 0}])
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StickySpec(**wrong)  # type: ignore[arg-type]  # the wrong values are the point
