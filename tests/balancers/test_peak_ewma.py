"""What peak EWMA promises: slow handshakes cost connections at once, and are forgotten."""

from __future__ import annotations

import random
from collections import Counter
from math import exp

import pytest

from balancers import Member, PeakEwma, PeakEwmaSpec, View
from tests.balancers.fleets import fleet
from tests.balancers.moments import Hands


def made(clock: Hands, view: View, **seconds: float) -> PeakEwma:
    """Return a strategy that has seen one handshake of each of these members."""
    strategy = PeakEwmaSpec().build(random.Random(1), clock)
    strategy.pick(0, view)
    for name, took in seconds.items():
        strategy.observed(name, took)
    return strategy


def handshake(strategy: PeakEwma, name: str) -> float:
    return strategy.described(fleet(0, 0, 0))[name]["handshake"]


def test_connections_settle_where_handshake_time_times_connections_is_equal() -> None:
    # With two members both are drawn each time, so chance plays no part.
    view = fleet(0, 0)
    strategy = made(Hands(), view, n0=0.1, n1=0.3)
    counted: Counter[str] = Counter()
    for key in range(400):
        member = strategy.pick(key, view)
        assert member is not None
        strategy.opened(member.id)
        counted[member.id] += 1
    assert counted["n0"] == pytest.approx(300, abs=2)


def test_the_slowest_for_its_load_and_weight_is_never_picked() -> None:
    view = View(1, (
        Member(id="a", connections=9, weight=2.0), Member(id="b", connections=9),
        Member(id="c", connections=3),
    ))
    # Costs: a 10 * 0.2 / 2 = 1, b 10 * 0.1 = 1, c 4 * 0.3 = 1.2.
    strategy = made(Hands(), view, a=0.2, b=0.1, c=0.3)
    assert {member.id for key in range(200) if (member := strategy.pick(key, view))} == {"a", "b"}


def test_two_draws_of_three_take_shares_0_1_2_thirds() -> None:
    """Of the three pairs the cheapest member is in two and wins both.

    The bound of 0.015 is 5.5 standard deviations of 30,000 draws: wrong once in 10^7 seeds.
    """
    view = fleet(0, 0, 0)
    strategy = made(Hands(), view, n0=0.3, n1=0.2, n2=0.1)
    counted = Counter(
        member.id for key in range(30_000) if (member := strategy.pick(key, view))
    )
    assert counted["n0"] == 0
    assert counted["n1"] / 30_000 == pytest.approx(1 / 3, abs=0.015)


def test_a_peak_counts_at_once_and_fades_with_the_decay_time() -> None:
    clock, view = Hands(), fleet(0, 0)
    strategy = made(clock, view, n0=0.1, n1=0.1)
    clock.forward(1)
    strategy.observed("n0", 2.0)
    assert handshake(strategy, "n0") == 2.0
    average = 0.1 * exp(-0.1) + 2.0 * (1 - exp(-0.1))
    clock.forward(10)
    assert handshake(strategy, "n0") == pytest.approx(
        2.0 * exp(-1) + average * (1 - exp(-1))
    )
    clock.forward(1_000)
    assert handshake(strategy, "n0") == pytest.approx(average)
    assert handshake(strategy, "n1") == pytest.approx(average)


def test_quick_handshakes_lower_the_estimate_only_as_time_passes() -> None:
    clock, view = Hands(), fleet(0, 0)
    strategy = made(clock, view, n0=2.0)
    strategy.observed("n0", 0.1)
    assert handshake(strategy, "n0") == 2.0
    clock.forward(10)
    strategy.observed("n0", 0.1)
    assert handshake(strategy, "n0") == pytest.approx(0.1 + 1.9 * exp(-1))


def test_a_refusal_counts_as_a_slow_handshake() -> None:
    view = fleet(0, 5)
    strategy = made(Hands(), view, n0=0.01, n1=0.01)
    assert strategy.pick(0, view) is view.members[0]
    strategy.observed("n0", None)
    assert handshake(strategy, "n0") == 1.0
    assert strategy.pick(0, view) is view.members[1]


def test_whom_nobody_has_seen_counts_as_average() -> None:
    view = fleet(0, 0, 0)
    strategy = made(Hands(), view, n0=0.2)
    assert handshake(strategy, "n1") == 0.2


def test_who_left_is_forgotten_and_strangers_are_not_remembered() -> None:
    view = fleet(0, 0)
    strategy = made(Hands(), view, n1=0.1, n0=5.0)
    assert handshake(strategy, "n0") == 5.0
    strategy.pick(0, view.without("n0"))
    strategy.observed("n0", 9.0)
    strategy.pick(0, view)
    assert handshake(strategy, "n0") == 0.1


def test_the_rank_goes_by_cost_behind_the_draw() -> None:
    view = fleet(0, 0, 0, 0)
    strategy = made(Hands(), view, n0=0.4, n1=0.1, n2=0.3, n3=0.2)
    for key in range(20):
        _, *others = [member.id for member in strategy.rank(key, view)]
        assert others == [name for name in ("n1", "n3", "n2", "n0") if name in others]


@pytest.mark.parametrize(
    "wrong", [{"decay_time": 0.0}, {"decay_time": float("inf")}, {"failure_time": -1.0}]
)
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PeakEwmaSpec(**wrong)
