"""Only what WAIT surely covered is called confirmed: the decisions, without a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.errors import StoreUnavailable
from wsmesh.store.redis.composed import PUBLISH
from wsmesh.store.redis.durability import FSYNC, MEMORY, REPLICATED, DurablePublications

HISTORY = b"a" * 40
OTHER_HISTORY = b"b" * 40


def info(history: bytes) -> bytes:
    return b"# Replication\r\nrole:master\r\nmaster_replid:" + history + b"\r\nmaster_replid2:0\r\n"


def stored(offset: int, history: bytes = HISTORY) -> list[Any]:
    return [0, offset, b"Epoch1", history]


@define
class Wire:
    """A link whose answers the test gives, in whatever order."""

    asked: list[tuple[str, Callable[[Any], None]]] = field(factory=list)
    shard: str = "one"

    def shard_of(self, key: bytes) -> str:
        return self.shard

    def call_nowait(self, script: Any, keys: Any, args: Any, settle: Any, *, role: Any) -> None:
        self.asked.append(("PUBLISH", settle))

    def execute_nowait(
        self, command: Sequence[Any], settle: Any, *, key: bytes, role: Any,
        timeout: float | None = None,
    ) -> None:
        self.asked.append((" ".join(map(str, command)), settle))

    @property
    def commands(self) -> list[str]:
        return [command for command, _ in self.asked]

    def answer(self, *replies: Any) -> None:
        """Answer the oldest questions."""
        for reply in replies:
            self.asked.pop(0)[1](reply)


class Sender:
    def __init__(self) -> None:
        self.wire = Wire()
        self.publications: Any = DurablePublications(self.wire, PUBLISH, 1, 0.5)  # type: ignore[arg-type]
        self.achieved: list[tuple[Any, str]] = []

    def publish(self, level: str = REPLICATED) -> None:
        self.publications.publish(
            (b"key",), (), level, lambda reply, level: self.achieved.append((reply, level))
        )

    @property
    def levels(self) -> list[str]:
        return [level for _, level in self.achieved]


def test_what_one_connection_wrote_and_a_replica_has_is_replicated() -> None:
    sender = Sender()
    sender.publish()
    assert sender.wire.commands == [
        "CLIENT ID", "PUBLISH", "WAIT 1 500", "INFO replication", "CLIENT ID"
    ]
    sender.wire.answer(7, stored(1), 1, info(HISTORY))
    assert sender.achieved == []
    sender.wire.answer(7)
    assert sender.achieved == [(stored(1), REPLICATED)]


@pytest.mark.parametrize(
    ("first", "wait", "history", "last"),
    [
        (7, 1, HISTORY, 8),
        (7, 0, HISTORY, 7),
        (7, 1, OTHER_HISTORY, 7),
        (StoreUnavailable("lost"), 1, HISTORY, 7),
        (7, StoreUnavailable("lost"), HISTORY, 7),
        (7, 1, HISTORY, StoreUnavailable("lost")),
        (StoreUnavailable("lost"), 1, HISTORY, StoreUnavailable("lost")),
    ],
    ids=["another connection", "no replica", "another server", "a", "b", "c", "d"],
)
def test_otherwise_it_is_only_stored(first: Any, wait: Any, history: bytes, last: Any) -> None:
    sender = Sender()
    sender.publish()
    sender.wire.answer(first, stored(1), wait, info(history), last)
    assert sender.achieved == [(stored(1), MEMORY)]


def test_info_that_cannot_be_had_confirms_nothing() -> None:
    sender = Sender()
    sender.publish()
    sender.wire.answer(7, stored(1), 1, StoreUnavailable("lost"), 7)
    assert sender.levels == [MEMORY]


def test_a_publication_that_was_answered_after_wait_is_only_stored() -> None:
    """It was sent again: to another server, or behind WAIT."""
    sender = Sender()
    sender.publish()
    for _ in range(2):
        sender.publish()
    sender.wire.answer(7, stored(1), 1, info(HISTORY), 7)
    late = sender.wire.asked.pop(1)[1]
    sender.wire.answer(7, stored(3), 1)
    late(stored(2))
    sender.wire.answer(info(HISTORY), 7)
    assert sorted(sender.achieved[1:], key=str) == sorted(
        [(stored(2), MEMORY), (stored(3), REPLICATED)], key=str
    )


def test_one_that_is_answered_after_everything_is_settled_all_the_same() -> None:
    sender = Sender()
    sender.publish()
    late = sender.wire.asked.pop(1)[1]
    sender.wire.answer(7, 1, info(HISTORY), 7)
    assert sender.achieved == []
    late(stored(1))
    assert sender.achieved == [(stored(1), MEMORY)]


def test_a_failed_publication_is_settled_at_once_and_the_others_are_not_hurt() -> None:
    sender = Sender()
    sender.publish()
    sender.wire.answer(7, stored(1), 1, info(HISTORY), 7)
    for _ in range(2):
        sender.publish()
    error = StoreUnavailable("no")
    sender.wire.answer(7, error)
    assert sender.achieved[-1] == (error, MEMORY)
    sender.wire.answer(1, info(HISTORY), 7)
    assert len(sender.achieved) == 2
    sender.wire.answer(7, stored(2), 1, info(HISTORY), 7)
    assert sender.achieved[-1] == (stored(2), REPLICATED)


def test_what_was_put_aside_as_corrupt_is_not_confirmed() -> None:
    sender = Sender()
    sender.publish()
    sender.wire.answer(7, [-1, 1], 1, info(HISTORY), 7)
    assert sender.achieved == [([-1, 1], MEMORY)]


def test_each_level_has_its_own_confirmation() -> None:
    sender = Sender()
    sender.publish()
    for level in (REPLICATED, FSYNC, FSYNC):
        sender.publish(level)
    sender.wire.answer(7, stored(1), 1, info(HISTORY), 7)
    assert sender.wire.commands[4:] == [
        "WAIT 1 500", "WAITAOF 1 0 500", "INFO replication", "CLIENT ID"
    ]
    sender.wire.answer(7, stored(2), stored(3), stored(4), 0, [1, 0], info(HISTORY), 7)
    assert sender.levels == [REPLICATED, MEMORY, FSYNC, FSYNC]


def test_shards_do_not_wait_for_each_other() -> None:
    sender = Sender()
    sender.publish()
    sender.wire.shard = "two"
    sender.publish()
    assert sender.wire.commands.count("PUBLISH") == 2


@given(
    st.lists(st.sampled_from([7, 8]), min_size=2, max_size=2),
    st.permutations(["publish", "wait"]),
    st.booleans(),
    st.integers(0, 2),
)
def test_confirmed_means_every_condition_held(
    clients: list[int], order: list[str], is_same_server: bool, replicas: int
) -> None:
    sender = Sender()
    sender.publish()
    (_, first), (_, publish), (_, wait), (_, inform), (_, last) = sender.wire.asked
    first(clients[0])
    for step in order:
        if step == "publish":
            publish(stored(1))
        else:
            wait(replicas)
    inform(info(HISTORY if is_same_server else OTHER_HISTORY))
    last(clients[1])
    is_sure = (
        clients[0] == clients[1] and order == ["publish", "wait"] and is_same_server and replicas
    )
    assert sender.levels == [REPLICATED if is_sure else MEMORY]
