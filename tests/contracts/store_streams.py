"""What every store promises about history, recovery, and how long they are possible."""

from __future__ import annotations

import pytest

from tests.contracts.store_cluster import (
    CHANNEL,
    KEEPS,
    Cluster,
    message,
    numbers,
    publish,
)
from wsmesh.store.interface import (
    Position,
    PublishOptions,
    Retention,
    UnrecoverablePosition,
)


class StreamContract:
    """History, recovery, and how long they are possible."""

    async def test_an_empty_channel_has_an_epoch_and_keeps_it(self, cluster: Cluster) -> None:
        top = await cluster.store.top(CHANNEL, KEEPS)
        assert top.offset == 0
        assert top.epoch != ""
        for node in cluster.nodes:
            assert await node.store.top(CHANNEL, KEEPS) == top
        assert await publish(cluster.store, 1) == Position(top.epoch, 1)

    @pytest.mark.parametrize(
        ("limit", "since", "reverse", "expected"),
        [
            (0, None, False, []),
            (0, 4, True, []),
            (-1, None, False, [4, 5, 6, 7, 8]),
            (-1, None, True, [8, 7, 6, 5, 4]),
            (2, None, False, [4, 5]),
            (2, None, True, [8, 7]),
            (9, None, False, [4, 5, 6, 7, 8]),
            (2, 5, False, [6, 7]),
            (-1, 5, False, [6, 7, 8]),
            (-1, 3, False, [4, 5, 6, 7, 8]),
            (-1, 1, False, [4, 5, 6, 7, 8]),
            (-1, 8, False, []),
            (2**63, 2**64 - 1, False, []),
            (2, 7, True, [6, 5]),
            (-1, 6, True, [5, 4]),
            (-1, 4, True, []),
            (-1, 1, True, []),
            (-1, 0, True, []),
        ],
    )
    async def test_history_reads(
        self, cluster: Cluster, limit: int, since: int | None, reverse: bool, expected: list[int]
    ) -> None:
        top = await publish(cluster.store, 8)
        stream = await cluster.store.history(
            CHANNEL, KEEPS, limit=limit, reverse=reverse,
            since=None if since is None else Position(top.epoch, since),
        )
        assert numbers(stream.publications) == expected
        assert [int(bytes(each.data)) for each in stream.publications] == expected
        assert stream.top == top

    async def test_history_since_another_epoch_is_refused(self, cluster: Cluster) -> None:
        await publish(cluster.store, 2)
        for reverse in (False, True):
            with pytest.raises(UnrecoverablePosition):
                await cluster.store.history(
                    CHANNEL, KEEPS, limit=5, since=Position("other", 1), reverse=reverse
                )

    @pytest.mark.parametrize(
        ("since", "limit", "recovered"),
        [
            (8, 0, True), (7, 1, True), (7, 0, False), (3, 5, True), (3, 4, False), (2, 99, False),
            (0, 99, False), (9, 99, False), (2**64 - 1, 99, False),
        ],
    )
    async def test_recovery_brings_all_that_was_missed_or_nothing(
        self, cluster: Cluster, since: int, limit: int, recovered: bool
    ) -> None:
        top = await publish(cluster.store, 8)
        found = await cluster.store.recover(CHANNEL, Position(top.epoch, since), KEEPS, limit)
        assert found.recovered is recovered
        assert numbers(found.publications) == (list(range(since + 1, 9)) if recovered else [])
        assert found.top == top

    async def test_recovery_needs_the_same_epoch(self, cluster: Cluster) -> None:
        await publish(cluster.store, 2)
        for since in (Position("other", 2), Position("other", 0), Position("", 2)):
            found = await cluster.store.recover(CHANNEL, since, KEEPS, 10)
            assert not found.recovered
            assert found.publications == ()

    async def test_who_saw_nothing_recovers_a_stream_that_lost_nothing(
        self, cluster: Cluster
    ) -> None:
        assert (await cluster.store.recover(CHANNEL, Position(), KEEPS, 10)).recovered
        await publish(cluster.store, 5)
        found = await cluster.store.recover(CHANNEL, Position(), KEEPS, 10)
        assert found.recovered
        assert numbers(found.publications) == [1, 2, 3, 4, 5]
        await publish(cluster.store, 1)
        assert not (await cluster.store.recover(CHANNEL, Position(), KEEPS, 10)).recovered

    async def test_removing_history_keeps_epoch_and_top(self, cluster: Cluster) -> None:
        top = await publish(cluster.store, 3)
        await cluster.store.remove_history(CHANNEL)
        await cluster.store.remove_history("news:never")
        assert await cluster.store.top(CHANNEL, KEEPS) == top
        assert (await cluster.store.history(CHANNEL, KEEPS, limit=-1)).publications == ()
        assert (await cluster.store.recover(CHANNEL, top, KEEPS, 10)).recovered
        behind = Position(top.epoch, 2)
        assert not (await cluster.store.recover(CHANNEL, behind, KEEPS, 10)).recovered
        assert await publish(cluster.store, 1) == Position(top.epoch, 4)

    async def test_publications_last_ttl_after_the_last_of_them(self, cluster: Cluster) -> None:
        await publish(cluster.store, 1)
        await cluster.lapse(9)
        top = await publish(cluster.store, 1)
        await cluster.lapse(9)
        stream = await cluster.store.history(CHANNEL, KEEPS, limit=-1)
        assert numbers(stream.publications) == [1, 2]
        await cluster.lapse(1)
        stream = await cluster.store.history(CHANNEL, KEEPS, limit=-1)
        assert (stream.publications, stream.top) == ((), top)
        assert not (
            await cluster.store.recover(CHANNEL, Position(top.epoch, 1), KEEPS, 10)
        ).recovered
        await publish(cluster.store, 1)
        stream = await cluster.store.history(CHANNEL, KEEPS, limit=-1)
        assert numbers(stream.publications) == [3], "what expired does not come back"

    async def test_epoch_and_top_last_meta_ttl(self, cluster: Cluster) -> None:
        top = await publish(cluster.store, 3)
        await cluster.lapse(39)
        assert await publish(cluster.store, 1) == Position(top.epoch, 4)
        await cluster.lapse(40)
        anew = await cluster.store.top(CHANNEL, KEEPS)
        assert anew.offset == 0
        assert anew.epoch != top.epoch
        found = await cluster.store.recover(CHANNEL, Position(top.epoch, 4), KEEPS, 10)
        assert not found.recovered
        assert await publish(cluster.store, 1) == Position(anew.epoch, 1)

    async def test_publishing_into_a_forgotten_stream_starts_over(self, cluster: Cluster) -> None:
        before = await publish(cluster.store, 3)
        await cluster.lapse(40)
        after = await publish(cluster.store, 1)
        assert after.offset == 1
        assert after.epoch != before.epoch
        stream = await cluster.store.history(CHANNEL, KEEPS, limit=-1)
        assert numbers(stream.publications) == [1]

    async def test_publishing_after_the_ttl_keeps_only_the_new(self, cluster: Cluster) -> None:
        await publish(cluster.store, 3)
        await cluster.lapse(10)
        await publish(cluster.store, 1)
        stream = await cluster.store.history(CHANNEL, KEEPS, limit=-1)
        assert numbers(stream.publications) == [4]

    async def test_epoch_and_top_outlive_publications_that_last_longer_than_meta_ttl(
        self, cluster: Cluster
    ) -> None:
        brief = Retention(size=5, ttl=10.0, meta_ttl=1.0)
        top = await publish(cluster.store, 2, PublishOptions(retention=brief))
        await cluster.lapse(9)
        assert await cluster.store.top(CHANNEL, brief) == top

    async def test_a_smaller_size_keeps_the_latest(self, cluster: Cluster) -> None:
        await publish(cluster.store, 5)
        smaller = PublishOptions(retention=Retention(size=2, ttl=10.0, meta_ttl=40.0))
        await cluster.store.publish(CHANNEL, message(), smaller)
        stream = await cluster.store.history(CHANNEL, KEEPS, limit=-1)
        assert numbers(stream.publications) == [5, 6]
