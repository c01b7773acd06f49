"""What a user may send on all nodes together, in a model of three nodes and one store."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from wsmesh.errors import StoreUnavailable
from wsmesh.security.rate import Rate, granted
from wsmesh.session.allowances import LEASES_PER_SECOND, Allowances
from wsmesh.store.users import Lease


class Bank:
    """The store: one account for each user, by the same rule as the script."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._tats: dict[str, float] = {}
        self.is_away = False
        self.asked = 0

    async def lease_messages(self, user: str, want: int, rate: Rate) -> Lease:
        if self.is_away:
            raise StoreUnavailable("away")
        self.asked += 1
        tat, now = self._tats.get(user, 0.0), self._now()
        count, self._tats[user] = granted(tat, now, rate.interval, rate.tolerance, want)
        return Lease(count, 0.0 if count else tat - now - rate.tolerance)


class Model:
    """Nodes whose questions are answered after a step."""

    def __init__(self, per_second: float, burst: int, nodes: int = 3, *, alone: bool = False):
        self.now = 0.0
        self.bank = Bank(lambda: self.now)
        self.asking: list[Callable[[], Awaitable[None]]] = []
        self.nodes = [
            Allowances(
                None if alone else self.bank,  # type: ignore[arg-type]
                lambda: nodes, lambda: self.now, self.asking.append,
            )
            for _ in range(nodes)
        ]
        for node in self.nodes:
            node.configure(per_second, burst)
        self.paused = [0.0] * nodes
        self.sent = 0

    def send(self, node: int, messages: int) -> None:
        """Have a client of a node send, unless it is paused: then it cannot."""
        if self.paused[node] > self.now:
            return
        self.sent += messages
        self.paused[node] = self.now + self.nodes[node].spend("ann", messages)

    def step(self, seconds: float) -> None:
        asking, self.asking[:] = list(self.asking), []
        for ask in asking:
            trio.run(ask)
        self.now += seconds


@settings(deadline=None)
@given(
    per_second=st.sampled_from([5.0, 40.0, 300.0]), burst=st.sampled_from([1, 10, 100]),
    turns=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=60),
    pace=st.sampled_from([0.001, 0.01, 0.1]),
)
def test_no_user_sends_more_than_a_burst_and_the_rate_and_what_is_on_its_way(
    per_second: float, burst: int, turns: list[tuple[int, int]], pace: float
) -> None:
    model = Model(per_second, burst)
    lease = max(1, int(per_second / LEASES_PER_SECOND))
    for node, messages in turns:
        model.send(node, messages)
        model.step(pace)
    # Each node may owe a lease, and what it read before it knew.
    slack = 3 * (lease + 4 + 1)
    assert model.sent <= burst + per_second * model.now + slack


def test_over_many_seconds_the_rate_is_kept_within_a_tenth_and_used() -> None:
    model = Model(300.0, 60)
    while model.now < 10.0:
        for node in range(3):
            model.send(node, 3)
        model.step(0.005)
    assert 0.9 * 300 * 10 <= model.sent <= 1.1 * 300 * 10 + 60
    assert model.bank.asked <= 3 * 2 * LEASES_PER_SECOND * 10


def test_a_user_below_the_rate_is_never_paused() -> None:
    model = Model(300.0, 60)
    while model.now < 5.0:
        model.send(0, 1)
        assert model.paused[0] <= model.now
        model.step(0.005)
    assert model.sent >= 990


def test_alone_a_node_asks_nobody_and_keeps_the_rate() -> None:
    model = Model(100.0, 20, nodes=1, alone=True)
    while model.now < 10.0:
        model.send(0, 1)
        model.step(0.001)
    assert model.asking == [] and model.bank.asked == 0
    assert 950 <= model.sent <= 1_050


def test_while_the_store_is_away_each_node_has_its_share() -> None:
    model = Model(90.0, 30)
    model.bank.is_away = True
    while model.now < 10.0:
        model.send(0, 1)
        model.step(0.002)
    assert 0.8 * 300 <= model.sent <= 1.1 * 300 + 60, "a third of the rate"
    model.bank.is_away = False
    before = model.sent
    while model.now < 20.0:
        model.send(0, 1)
        model.step(0.002)
    assert model.sent - before >= 0.9 * 900


def test_without_a_limit_nothing_is_counted() -> None:
    model = Model(math.inf, 1)
    assert not model.nodes[0].is_limited
    assert model.nodes[0].spend("ann", 10**6) == 0.0
    assert len(model.nodes[0]) == 0


def test_what_is_left_of_an_old_lease_is_void() -> None:
    model = Model(400.0, 400, nodes=1)
    model.send(0, 1)
    model.step(5.0)
    asked = model.bank.asked
    model.send(0, 9)
    model.step(0.0)
    assert model.bank.asked == asked + 1


@pytest.mark.parametrize("want", [1, 5, 50])
def test_several_events_at_once_are_as_many_one_by_one(want: int) -> None:
    rate = Rate(10.0, 8)
    one_by_one, tat = 0, 0.0
    for _ in range(want):
        count, tat = granted(tat, 100.0, rate.interval, rate.tolerance, 1)
        one_by_one += count
    count, at_once = granted(0.0, 100.0, rate.interval, rate.tolerance, want)
    assert count == one_by_one == min(want, 8)
    assert at_once == pytest.approx(tat)
