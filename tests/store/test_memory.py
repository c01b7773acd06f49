"""The memory store keeps the contract of stores, survives failing listeners, and frees memory."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from attrs import define, evolve
from hypothesis import given, settings

from tests.contracts.store import StoreContract
from tests.contracts.store_cluster import (
    ANN,
    CHANNEL,
    KEEPING,
    KEEPS,
    PASSING,
    Cluster,
    Node,
    message,
    numbers,
    publish,
)
from tests.contracts.store_model import Step, follow, scripts
from wsmesh.store.interface import Position, Published, PublishOptions, Store
from wsmesh.store.memory import SWEEP_PERIOD, MemoryStatistics, MemoryStore
from wsmesh.store.outcomes import Outcomes


async def _at_once() -> None:
    """Memory delivers before a publish returns."""
    await trio.lowlevel.checkpoint()


@define
class _Moment:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def open_memory() -> Cluster:
    clock = _Moment()

    async def lapse(seconds: float) -> None:
        await trio.lowlevel.checkpoint()
        clock.now += seconds

    return Cluster((Node(MemoryStore(clock)),), lapse, _at_once)


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def cluster(self) -> Cluster:
        return open_memory()


# The same scripts with a sweep after every lapse: freeing memory must not be visible.
@pytest.mark.parametrize("sweeps", [False, True])
@settings(deadline=None, max_examples=150)
@given(script=scripts)
def test_it_does_what_a_plain_list_would_do(sweeps: bool, script: list[Step]) -> None:
    cluster = open_memory()
    store = cluster.store
    assert isinstance(store, MemoryStore)
    if sweeps:
        now = 0.0

        async def lapse_and_sweep(seconds: float) -> None:
            nonlocal now
            now += seconds
            await cluster.lapse(seconds)
            store.sweep(now)

        trio.run(follow, evolve(cluster, lapse=lapse_and_sweep), script)
    else:
        trio.run(follow, cluster, script)


def test_it_is_a_store() -> None:
    store: Store = MemoryStore()
    assert isinstance(store, MemoryStore)


class _Fault(Exception):
    pass


def _raise(*_: object) -> None:
    raise _Fault


@pytest.mark.parametrize("options", [KEEPING, PASSING], ids=["history", "no history"])
async def test_a_listener_that_raises_does_not_undo_the_publication(
    options: PublishOptions,
) -> None:
    store = MemoryStore(_Moment())
    store.listen(_raise, _raise, _raise)
    await store.subscribe(CHANNEL)
    outcomes: list[Published | Exception] = []
    with pytest.raises(_Fault):
        store.publish_nowait(CHANNEL, message(), options, outcomes.append)
    assert len(outcomes) == 1
    assert isinstance(outcomes[0], Published)
    stream = await store.history(CHANNEL, KEEPS, limit=-1)
    assert numbers(stream.publications) == list(range(1, stream.top.offset + 1))
    assert stream.top.offset == outcomes[0].position.offset


async def test_a_settle_that_raises_does_not_undo_the_publication() -> None:
    node = Node(MemoryStore(_Moment()))
    await node.store.subscribe(CHANNEL)
    keyed = PublishOptions(retention=KEEPS, idempotency_key="once")
    with pytest.raises(_Fault):
        node.store.publish_nowait(CHANNEL, message(), keyed, _raise)
    again = await node.store.publish(CHANNEL, message(), keyed)
    assert again.suppressed
    assert again.position.offset == 1
    assert node.offsets == [1]
    assert await publish(node.store, 1) == Position(again.position.epoch, 2)
    assert node.offsets == [1, 2]


def test_epochs_come_from_the_random_source_alone() -> None:
    def epoch(seed: int) -> str:
        outcomes: list[Published | Exception] = []
        store = MemoryStore(_Moment(), random.Random(seed))
        store.publish_nowait(CHANNEL, message(), KEEPING, outcomes.append)
        assert isinstance(outcomes[0], Published)
        return outcomes[0].position.epoch

    assert epoch(1) == epoch(1)
    assert epoch(1) != epoch(2)
    assert len(epoch(1)) == 8


async def test_sweeping_frees_everything_in_the_end() -> None:
    clock = _Moment()
    store = MemoryStore(clock)
    for number in range(25):
        keyed = PublishOptions(retention=KEEPS, idempotency_key="key")
        await store.publish(f"c{number}", message(), keyed)
        await store.add_presence(f"c{number}", "c1", ANN, 10.0)
        await store.top(f"read{number}", KEEPS)
    assert store.statistics() == MemoryStatistics(streams=50, outcomes=25, attended=25)
    assert not store.sweep(9.0)
    assert store.statistics() == MemoryStatistics(50, 25, 25)
    assert not store.sweep(10.0)
    assert store.statistics() == MemoryStatistics(50, 25, 0)
    assert not store.sweep(40.0)
    assert store.statistics() == MemoryStatistics(0, 25, 0)
    assert not store.sweep(300.0)
    assert store.statistics() == MemoryStatistics(0, 0, 0)


async def test_sweeping_leaves_what_is_still_used() -> None:
    clock = _Moment()
    store = MemoryStore(clock)
    await store.publish(CHANNEL, message(), KEEPING)
    await store.add_presence(CHANNEL, "c1", ANN, 15.0)
    await store.add_presence(CHANNEL, "c2", ANN, 5.0)
    for now in range(1, 100):
        clock.now = float(now)
        if now % 9 == 0:
            await publish(store, 1)
            await store.add_presence(CHANNEL, "c1", ANN, 15.0)
        store.sweep(clock.now)
        assert len((await store.history(CHANNEL, KEEPS, limit=-1)).publications) > 0
        assert "c1" in await store.presence(CHANNEL)
    assert (await store.top(CHANNEL, KEEPS)).offset == 12


async def test_what_was_renewed_is_freed_in_the_end_too() -> None:
    clock = _Moment()
    store = MemoryStore(clock)
    for now in (0.0, 8.0):
        clock.now = now
        top = await publish(store, 1)
        await store.add_presence(CHANNEL, "c1", ANN, 10.0)
    store.sweep(10.0)
    store.sweep(40.0)
    assert store.statistics() == MemoryStatistics(streams=1, outcomes=0, attended=0)
    # The clock still stands at 8: only a sweep can have taken the publications.
    assert (await store.history(CHANNEL, KEEPS, limit=-1)).publications == ()
    assert await store.top(CHANNEL, KEEPS) == top
    store.sweep(48.0)
    assert store.statistics() == MemoryStatistics(0, 0, 0)


async def test_everything_is_freed_again_after_it_was_used_again() -> None:
    clock = _Moment()
    store = MemoryStore(clock)
    for begin in (0.0, 1_000.0):
        clock.now = begin
        await publish(store, 1, PublishOptions(retention=KEEPS, idempotency_key="key"))
        await store.add_presence(CHANNEL, "c1", ANN, 10.0)
        assert store.statistics() == MemoryStatistics(1, 1, 1)
        store.sweep(begin + 400.0)
        assert store.statistics() == MemoryStatistics(0, 0, 0)


async def test_whoever_was_told_an_epoch_can_rely_on_it_for_meta_ttl() -> None:
    clock = _Moment()
    store = MemoryStore(clock)
    top = await publish(store, 1)
    clock.now = 30.0
    assert await store.top(CHANNEL, KEEPS) == top
    clock.now = 69.0
    # A reader that promises less does not take back what others were promised.
    assert await store.top(CHANNEL, evolve(KEEPS, meta_ttl=0.5)) == top
    clock.now = 69.5
    assert await store.top(CHANNEL, KEEPS) == top
    clock.now = 69.5 + 40.0
    assert await store.top(CHANNEL, KEEPS) != top


async def test_publications_are_freed_while_the_stream_is_kept() -> None:
    clock = _Moment()
    store = MemoryStore(clock)
    await store.top(CHANNEL, KEEPS)
    clock.now = 20.0
    top = await publish(store, 3)
    clock.now = 29.0
    store.sweep(clock.now)
    assert len((await store.history(CHANNEL, KEEPS, limit=-1)).publications) == 3
    store.sweep(30.0)
    # The clock still stands at 29: only the sweep can have taken them.
    assert (await store.history(CHANNEL, KEEPS, limit=-1)).publications == ()
    assert await store.top(CHANNEL, KEEPS) == top


async def test_one_sweep_is_bounded() -> None:
    store = MemoryStore(_Moment())
    for number in range(25):
        await store.add_presence(f"c{number}", "c1", ANN, 1.0)
    assert store.sweep(1.0, limit=10)
    assert store.statistics().attended == 15
    assert store.sweep(1.0, limit=10)
    assert not store.sweep(1.0, limit=10)
    assert store.statistics().attended == 0


async def test_the_store_sweeps_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    store = MemoryStore()
    await store.add_presence(CHANNEL, "c1", ANN, 5 * SWEEP_PERIOD)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.run)
        await trio.sleep(4.5 * SWEEP_PERIOD)
        assert store.statistics().attended == 1
        await trio.sleep(SWEEP_PERIOD)
        assert store.statistics().attended == 0
        nursery.cancel_scope.cancel()


def test_a_key_that_is_used_again_later_lasts_anew() -> None:
    outcomes, outcome = Outcomes(), Published(Position("e", 1))
    outcomes.remember(CHANNEL, "early", outcome, now=0.0)
    outcomes.remember(CHANNEL, "late", outcome, now=10.0)
    outcomes.remember(CHANNEL, "early", outcome, now=300.0)
    assert outcomes.sweep(310.0, limit=10) == 1
    assert outcomes.find(CHANNEL, "early", now=599.0) is not None
    assert outcomes.find(CHANNEL, "early", now=600.0) is None


def test_remembered_outcomes_are_bounded_and_the_oldest_go_first() -> None:
    outcomes = Outcomes(capacity=3)
    for number in range(4):
        outcomes.remember(CHANNEL, str(number), Published(Position("e", number)), now=0.0)
    assert len(outcomes) == 3
    assert outcomes.find(CHANNEL, "0", now=0.0) is None
    assert outcomes.find(CHANNEL, "1", now=0.0) == Published(Position("e", 1), suppressed=True)
