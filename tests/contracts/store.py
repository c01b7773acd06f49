"""What every store must do: a test class per store inherits `StoreContract` and opens its own.

A test module asks for assertion rewriting of `tests.contracts` and says how to open its store::

    class TestMemoryStore(StoreContract):
        @pytest.fixture
        def cluster(self) -> Cluster: ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from msgspec import UNSET, Raw

from tests.contracts.store_cluster import (
    ANN,
    BOB,
    CHANNEL,
    KEEPING,
    KEEPS,
    PASSING,
    Cluster,
    message,
    numbers,
    publish,
)
from tests.contracts.store_streams import StreamContract
from wsmesh.protocol.messages import ClientInfo, Publication
from wsmesh.store.interface import Position, Published, PublishOptions


class PublishingContract:
    """Publishing and delivery."""

    async def test_offsets_count_from_one_without_a_gap(self, cluster: Cluster) -> None:
        outcomes = [await cluster.store.publish(CHANNEL, message(), KEEPING) for _ in range(8)]
        assert [outcome.position.offset for outcome in outcomes] == list(range(1, 9))
        assert len({outcome.position.epoch for outcome in outcomes}) == 1
        assert outcomes[0].position.epoch != ""
        assert not any(outcome.suppressed for outcome in outcomes)

    async def test_every_channel_has_its_own_stream(self, cluster: Cluster) -> None:
        await publish(cluster.store, 3)
        other = await cluster.store.publish("news:other", message(), KEEPING)
        assert other.position.offset == 1

    async def test_every_node_hears_one_order_the_order_of_the_offsets(
        self, cluster: Cluster
    ) -> None:
        for node in cluster.nodes:
            await node.store.subscribe(CHANNEL)
        for number in range(20):
            publisher = cluster.nodes[number % len(cluster.nodes)].store
            await publisher.publish(CHANNEL, message(number), KEEPING)
        await cluster.delivered()
        kept = [publication.data for _, publication, _ in cluster.nodes[0].heard]
        for node in cluster.nodes:
            assert node.offsets == list(range(1, 21))
            assert [publication.data for _, publication, _ in node.heard] == kept

    async def test_calls_without_waiting_are_stored_in_their_order(self, cluster: Cluster) -> None:
        await cluster.store.subscribe(CHANNEL)
        outcomes: list[Published | Exception] = []
        for number in range(1, 6):
            cluster.store.publish_nowait(CHANNEL, message(number), KEEPING, outcomes.append)
        await cluster.delivered()
        epoch = (await cluster.store.top(CHANNEL, KEEPS)).epoch
        assert outcomes == [Published(Position(epoch, number)) for number in range(1, 6)]
        assert [bytes(each.data) for _, each, _ in cluster.nodes[0].heard] == [
            b"1", b"2", b"3", b"4", b"5"
        ]

    async def test_what_is_heard_and_kept_is_what_was_published_and_its_offset(
        self, cluster: Cluster
    ) -> None:
        for node in cluster.nodes:
            await node.store.subscribe(CHANNEL)
        sent = message(7)
        position = (await cluster.store.publish(CHANNEL, sent, KEEPING)).position
        await cluster.delivered()
        expected = Publication(sent.data, sent.info, 1, sent.tags, sent.time)
        for node in cluster.nodes:
            assert node.heard == [(CHANNEL, expected, position)]
        stream = await cluster.store.history(CHANNEL, KEEPS, limit=-1)
        assert stream.publications == (expected,)
        assert sent == message(7), "the publisher's own object is not changed"

    @pytest.mark.parametrize(
        "options",
        [PASSING, PublishOptions(retention=KEEPS, skip_history=True)],
        ids=["no history", "skipped"],
    )
    async def test_a_publication_that_is_not_kept_has_no_offset(
        self, cluster: Cluster, options: PublishOptions
    ) -> None:
        await cluster.store.subscribe(CHANNEL)
        forged = Publication(data=Raw(b"1"), offset=9)
        outcome = await cluster.store.publish(CHANNEL, forged, options)
        await cluster.delivered()
        assert outcome == Published(Position("", 0))
        assert cluster.nodes[0].heard == [(CHANNEL, Publication(data=Raw(b"1")), Position())]
        assert (await cluster.store.top(CHANNEL, KEEPS)).offset == 0

    async def test_only_subscribed_channels_are_heard(self, cluster: Cluster) -> None:
        await cluster.store.subscribe("news:other")
        await publish(cluster.store, 1)
        await cluster.delivered()
        assert [node.heard for node in cluster.nodes] == [[] for _ in cluster.nodes]

    async def test_subscribing_twice_is_subscribing_once(self, cluster: Cluster) -> None:
        await cluster.store.subscribe(CHANNEL)
        await cluster.store.subscribe(CHANNEL)
        await publish(cluster.store, 1)
        await cluster.delivered()
        assert cluster.nodes[0].offsets == [1]
        await cluster.store.unsubscribe(CHANNEL)
        await publish(cluster.store, 1)
        await cluster.delivered()
        assert cluster.nodes[0].offsets == [1]

    async def test_leaving_a_channel_that_was_not_subscribed_is_harmless(
        self, cluster: Cluster
    ) -> None:
        await cluster.store.unsubscribe(CHANNEL)

    async def test_a_cancelled_publish_happened_or_did_not(self, cluster: Cluster) -> None:
        await cluster.store.subscribe(CHANNEL)
        with trio.CancelScope() as scope:
            scope.cancel()
            await cluster.store.publish(CHANNEL, message(), KEEPING)
        assert scope.cancelled_caught
        await cluster.delivered()
        stream = await cluster.store.history(CHANNEL, KEEPS, limit=-1)
        kept = numbers(stream.publications)
        assert kept == cluster.nodes[0].offsets
        assert kept == list(range(1, stream.top.offset + 1))

    async def test_every_async_method_is_a_checkpoint(self, cluster: Cluster) -> None:
        store = cluster.store
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: store.publish(CHANNEL, message(), KEEPING),
            lambda: store.subscribe(CHANNEL),
            lambda: store.subscribe(CHANNEL),
            lambda: store.unsubscribe(CHANNEL),
            lambda: store.top(CHANNEL, KEEPS),
            lambda: store.recover(CHANNEL, Position(), KEEPS, 10),
            lambda: store.history(CHANNEL, KEEPS, limit=0),
            lambda: store.remove_history(CHANNEL),
            lambda: store.add_presence(CHANNEL, "c1", ANN, 10.0),
            lambda: store.presence(CHANNEL),
            lambda: store.remove_presence(CHANNEL, "c1"),
            lambda: store.announce(CHANNEL, ANN, True),
            lambda: store.check(),
        ]
        for call in calls:
            with trio.testing.assert_checkpoints():
                await call()


class RepetitionContract:
    """Idempotency keys and versions."""

    async def test_equal_keys_are_one_publication_for_five_minutes(self, cluster: Cluster) -> None:
        options = PublishOptions(retention=KEEPS, idempotency_key="order-7")
        await cluster.store.subscribe(CHANNEL)
        first = await cluster.store.publish(CHANNEL, message(1), options)
        again = await cluster.store.publish(CHANNEL, message(2), options)
        await cluster.lapse(299)
        late = await cluster.store.publish(CHANNEL, message(3), options)
        await cluster.delivered()
        assert (first.suppressed, again.suppressed, late.suppressed) == (False, True, True)
        assert again.position == late.position == first.position
        assert len(cluster.nodes[0].heard) == 1
        await cluster.lapse(1)
        assert not (await cluster.store.publish(CHANNEL, message(4), options)).suppressed

    async def test_keys_work_without_history(self, cluster: Cluster) -> None:
        await cluster.store.subscribe(CHANNEL)
        options = PublishOptions(idempotency_key="order-7")
        outcomes = [await cluster.store.publish(CHANNEL, message(), options) for _ in range(3)]
        await cluster.delivered()
        assert [outcome.suppressed for outcome in outcomes] == [False, True, True]
        assert len(cluster.nodes[0].heard) == 1

    async def test_keys_are_per_channel(self, cluster: Cluster) -> None:
        options = PublishOptions(retention=KEEPS, idempotency_key="order-7")
        for channel in (CHANNEL, "news:other"):
            assert not (await cluster.store.publish(channel, message(), options)).suppressed

    async def test_only_a_higher_version_is_published(self, cluster: Cluster) -> None:
        await cluster.store.subscribe(CHANNEL)
        outcomes = []
        for version in (3, 3, 2, 4):
            options = PublishOptions(retention=KEEPS, version=version)
            outcomes.append(await cluster.store.publish(CHANNEL, message(version), options))
        await cluster.delivered()
        assert [outcome.suppressed for outcome in outcomes] == [False, True, True, False]
        assert [outcome.position.offset for outcome in outcomes] == [1, 1, 1, 2]
        assert cluster.nodes[0].offsets == [1, 2]

    async def test_another_version_epoch_restarts_the_comparison(self, cluster: Cluster) -> None:
        outcomes = []
        for version, epoch in ((9, "a"), (1, "b"), (1, "b"), (2, "b")):
            options = PublishOptions(retention=KEEPS, version=version, version_epoch=epoch)
            outcomes.append(await cluster.store.publish(CHANNEL, message(), options))
        assert [outcome.suppressed for outcome in outcomes] == [False, False, True, False]

    async def test_versions_mean_nothing_without_history(self, cluster: Cluster) -> None:
        options = PublishOptions(version=1)
        outcomes = [await cluster.store.publish(CHANNEL, message(), options) for _ in range(2)]
        assert [outcome.suppressed for outcome in outcomes] == [False, False]


class PresenceContract:
    """Presence, joins and leaves."""

    async def test_presence_lasts_its_ttl(self, cluster: Cluster) -> None:
        await cluster.store.add_presence(CHANNEL, "c1", ANN, 10.0)
        await cluster.store.add_presence(CHANNEL, "c2", BOB, 5.0)
        assert dict(await cluster.store.presence(CHANNEL)) == {"c1": ANN, "c2": BOB}
        await cluster.lapse(5)
        assert dict(await cluster.store.presence(CHANNEL)) == {"c1": ANN}
        await cluster.lapse(5)
        assert dict(await cluster.store.presence(CHANNEL)) == {}

    async def test_renewing_presence_replaces_info_and_ttl(self, cluster: Cluster) -> None:
        await cluster.store.add_presence(CHANNEL, "c1", BOB, 5.0)
        await cluster.lapse(4)
        await cluster.store.add_presence(CHANNEL, "c1", ANN, 5.0)
        await cluster.lapse(4)
        assert dict(await cluster.store.presence(CHANNEL)) == {"c1": ANN}

    async def test_presence_is_per_channel_and_shared_by_the_nodes(self, cluster: Cluster) -> None:
        await cluster.store.add_presence(CHANNEL, "c1", ANN, 10.0)
        for node in cluster.nodes:
            assert dict(await node.store.presence(CHANNEL)) == {"c1": ANN}
            assert dict(await node.store.presence("news:other")) == {}

    async def test_leaving_ends_presence_at_once_and_only_ones_own(self, cluster: Cluster) -> None:
        await cluster.store.add_presence(CHANNEL, "c1", ANN, 10.0)
        await cluster.store.add_presence(CHANNEL, "c2", BOB, 10.0)
        await cluster.store.remove_presence(CHANNEL, "c1")
        await cluster.store.remove_presence(CHANNEL, "c1")
        await cluster.store.remove_presence("news:other", "c2")
        assert dict(await cluster.store.presence(CHANNEL)) == {"c2": BOB}

    async def test_info_comes_back_as_it_was(self, cluster: Cluster) -> None:
        info = ClientInfo(user="", client="c3", conn_info=UNSET, chan_info=Raw(b"[1]"))
        await cluster.store.add_presence(CHANNEL, "c3", info, 10.0)
        assert (await cluster.store.presence(CHANNEL))["c3"] == info

    async def test_joins_and_leaves_reach_the_nodes_that_subscribed(self, cluster: Cluster) -> None:
        hearing = cluster.nodes[-1]
        await hearing.store.subscribe(CHANNEL)
        await cluster.store.announce(CHANNEL, ANN, True)
        await cluster.store.announce(CHANNEL, ANN, False)
        await cluster.store.announce("news:other", BOB, True)
        await cluster.delivered()
        assert hearing.events == [(CHANNEL, ANN, True), (CHANNEL, ANN, False)]
        assert all(node.events == [] for node in cluster.nodes if node is not hearing)
        assert (await cluster.store.top(CHANNEL, KEEPS)).offset == 0
        await hearing.store.unsubscribe(CHANNEL)
        await cluster.store.announce(CHANNEL, BOB, True)
        await cluster.delivered()
        assert len(hearing.events) == 2


class StoreContract(
    PublishingContract, RepetitionContract, PresenceContract, StreamContract
):
    """All of it."""
