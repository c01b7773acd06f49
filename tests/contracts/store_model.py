"""A stream as a plain list, and scripts that a store must follow exactly as the list does.

`await follow(cluster, script)` fails at the first difference. Times come from a grid that holds
every boundary of `KEEPS` and of the idempotency window.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, field, frozen
from hypothesis import strategies as st
from msgspec import Raw

from tests.contracts.store_cluster import CHANNEL, KEEPS, Cluster, numbers
from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import (
    Position,
    Published,
    PublishOptions,
    UnrecoverablePosition,
)


@frozen
class Publish:
    """Publish one message, perhaps with a key or a version."""

    key: str = ""
    version: int = 0


@frozen
class Lapse:
    """Let seconds pass."""

    seconds: int


@frozen
class Recover:
    """Recover from `behind` publications below the top; `stale` is of an epoch that never was."""

    behind: int
    limit: int
    stale: bool = False


@frozen
class Read:
    """Read history, from an end or from `behind` publications below the top."""

    limit: int
    behind: int | None
    reverse: bool


@frozen
class Remove:
    """Remove the history."""


@frozen
class Hear:
    """Subscribe or unsubscribe the first node."""

    subscribed: bool


Step = Publish | Lapse | Recover | Read | Remove | Hear

scripts = st.lists(
    st.one_of(
        st.builds(
            Publish,
            key=st.sampled_from(["", "", "", "k1", "k2"]),
            version=st.sampled_from([0, 0, 0, 1, 2, 3]),
        ),
        st.builds(Publish),
        st.builds(Lapse, st.sampled_from([1, 5, 9, 10, 30, 39, 40, 260])),
        st.builds(Recover, st.integers(-1, 7), st.integers(0, 7), st.booleans()),
        st.builds(
            Read, st.integers(-1, 7), st.none() | st.integers(-1, 7), st.booleans()
        ),
        st.just(Remove()),
        st.builds(Hear, st.booleans()),
    ),
    max_size=40,
)


@define
class Model:
    """What the channel ought to hold. `epoch` is learned from the store, which makes it up."""

    epoch: str = ""
    now: int = 0
    top: int = 0
    version: int = 0
    kept: list[int] = field(factory=list)
    published_at: int = 0
    used_at: int = 0
    known: dict[str, tuple[int, Position]] = field(factory=dict)
    subscribed: bool = False
    heard: list[int] = field(factory=list)

    def catch_up(self, epoch: str) -> None:
        """Take note of an epoch that the store named; it may change only by forgetting."""
        if epoch == self.epoch:
            lately = self.epoch == "" or self.now < self.used_at + KEEPS.meta_ttl
            assert lately, "an epoch outlived meta_ttl"
        else:
            lapsed = self.epoch == "" or self.now >= self.published_at + KEEPS.meta_ttl
            assert lapsed, "an epoch changed though the stream was not due to be forgotten"
            self.epoch, self.top, self.version, self.kept = epoch, 0, 0, []
            self.published_at = self.now
        self.used_at = self.now
        if self.now >= self.published_at + KEEPS.ttl:
            self.kept = []

    def publish(self, step: Publish) -> Published:
        """Publish; the model has caught up."""
        at, position = self.known.get(step.key, (-1000, Position()))
        if step.key and self.now < at + 300:
            return Published(position, suppressed=True)
        if 0 < step.version <= self.version:
            return Published(Position(self.epoch, self.top), suppressed=True)
        self.top += 1
        self.version = step.version or self.version
        self.kept = [*self.kept, self.top][-KEEPS.size :]
        self.published_at = self.now
        position = Position(self.epoch, self.top)
        if step.key:
            self.known[step.key] = (self.now, position)
        if self.subscribed:
            self.heard.append(self.top)
        return Published(position)


async def follow(cluster: Cluster, script: Sequence[Step]) -> None:
    """Do every step with the store and with a model, and compare all that can be seen."""
    store, model = cluster.store, Model()
    for step in script:
        if isinstance(step, Lapse):
            await cluster.lapse(step.seconds)
            model.now += step.seconds
            continue
        top = await store.top(CHANNEL, KEEPS)
        model.catch_up(top.epoch)
        assert top == Position(model.epoch, model.top)
        match step:
            case Publish():
                options = PublishOptions(
                    retention=KEEPS, idempotency_key=step.key, version=step.version
                )
                sent = Publication(data=Raw(b"%d" % (model.top + 1)))
                assert await store.publish(CHANNEL, sent, options) == model.publish(step)
            case Recover():
                await _recover(cluster, model, step)
            case Read():
                await _read(cluster, model, step)
            case Remove():
                await store.remove_history(CHANNEL)
                model.kept = []
            case Hear():
                await (store.subscribe if step.subscribed else store.unsubscribe)(CHANNEL)
                model.subscribed = step.subscribed
        await cluster.delivered()
        assert cluster.nodes[0].offsets == model.heard


async def _recover(cluster: Cluster, model: Model, step: Recover) -> None:
    since = Position("stale" if step.stale else model.epoch, max(0, model.top - step.behind))
    found = await cluster.store.recover(CHANNEL, since, KEEPS, step.limit)
    missed = list(range(since.offset + 1, model.top + 1))
    possible = (
        not step.stale
        and since.offset <= model.top
        and len(missed) <= step.limit
        and set(missed) <= set(model.kept)
    )
    assert found.recovered is possible
    assert numbers(found.publications) == (missed if possible else [])
    assert found.top == Position(model.epoch, model.top)


async def _read(cluster: Cluster, model: Model, step: Read) -> None:
    since = None
    expected = list(model.kept)
    if step.behind is not None:
        offset = max(0, model.top - step.behind)
        since = Position(model.epoch, offset)
        expected = [
            each for each in expected if (each < offset if step.reverse else each > offset)
        ]
        other = Position("stale", offset)
        try:
            await cluster.store.history(CHANNEL, KEEPS, limit=1, since=other)
        except UnrecoverablePosition:
            pass
        else:
            raise AssertionError("a position of another epoch was not refused")
    if step.reverse:
        expected.reverse()
    stream = await cluster.store.history(
        CHANNEL, KEEPS, limit=step.limit, since=since, reverse=step.reverse
    )
    assert numbers(stream.publications) == (
        expected if step.limit < 0 else expected[: step.limit]
    )
    assert [int(bytes(each.data)) for each in stream.publications] == numbers(stream.publications)
    assert stream.top == Position(model.epoch, model.top)
