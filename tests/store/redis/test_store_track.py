"""What is delivered is contiguous in one epoch, or a gap was signalled between: whatever arrives.

A stream is played to a reception that loses, repeats and mixes its messages, and whose reads
succeed or not.
"""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import Position, Recovery
from wsmesh.store.redis.counts import StoreCounts
from wsmesh.store.redis.keys import Keyspace
from wsmesh.store.redis.reception import Reception
from wsmesh.store.redis.track import MOST_WAITING, Learned, Track

KEYS = Keyspace("t", 1).of("news")


def said(epoch: str, offset: int) -> tuple[bytes, bytes]:
    return KEYS.shard, b'p %s %d {"data":%d}' % (epoch.encode(), offset, offset)


class Listening:
    """A reception of one channel, and the history of what it handed on."""

    def __init__(self) -> None:
        self.counts = StoreCounts()
        self.wanted: list[Track] = []
        self.reception = Reception(
            self.counts, repair=self.wanted.append, other=lambda shard, message: None
        )
        self.history: list[Position | None] = []
        self.reception.listen(self._deliver, lambda *_: None, lambda channel: self._gap())
        self.track = self.reception.add(KEYS)

    def _deliver(self, channel: str, publication: Publication, position: Position) -> None:
        assert publication.offset == position.offset
        self.history.append(position)

    def _gap(self) -> None:
        self.history.append(None)

    @property
    def offsets(self) -> list[int | None]:
        return [each if each is None else each.offset for each in self.history]

    def hear(self, epoch: str, *offsets: int) -> None:
        self.reception.take([said(epoch, offset) for offset in offsets])

    def found(self, epoch: str, first: int, top: int) -> Recovery:
        return Recovery(True, Position(epoch, top), tuple(
            Publication(data=Raw(b"0"), offset=offset) for offset in range(first, top + 1)
        ))

    def learn(self, epoch: str, top: int) -> Learned:
        return self.reception.learn(
            self.track, Position(epoch, top), self.track.begin_read()
        )

    def replay(self, found: Recovery) -> bool:
        return self.reception.replay(self.track, found, self.track.begin_read())


def test_what_follows_is_delivered_and_what_comes_again_is_not() -> None:
    node = Listening()
    node.hear("a", 5, 6, 6, 5, 7)
    assert node.offsets == [5, 6, 7]
    assert node.counts.duplicates == 2


def test_later_publications_wait_for_a_missing_one() -> None:
    node = Listening()
    node.hear("a", 1, 3, 4)
    assert node.offsets == [1]
    assert node.wanted == [node.track]
    assert node.replay(node.found("a", 2, 3))
    assert node.offsets == [1, 2, 3, 4]
    assert node.counts.repaired == 2


def test_a_second_hole_behind_the_first_is_repaired_too() -> None:
    node = Listening()
    node.hear("a", 1, 3, 6)
    node.replay(node.found("a", 2, 4))
    assert node.offsets == [1, 2, 3, 4]
    assert len(node.wanted) == 2
    node.replay(node.found("a", 5, 6))
    assert node.offsets == [1, 2, 3, 4, 5, 6]


def test_what_cannot_be_read_any_more_is_a_gap() -> None:
    node = Listening()
    node.hear("a", 1, 4, 5)
    assert not node.replay(Recovery(False, Position("a", 5)))
    node.reception.give_up(node.track)
    node.hear("a", 6)
    assert node.offsets == [1, None, 4, 5, 6]
    assert node.track.gaps == node.counts.gaps == 1


def test_another_epoch_is_a_gap_and_the_former_one_is_dropped() -> None:
    node = Listening()
    node.hear("a", 8)
    node.hear("b", 4, 5)
    assert node.offsets == [8], "a read has to say which epoch holds"
    assert node.replay(Recovery(False, Position("b", 5)))
    node.hear("a", 9)
    node.hear("b", 6)
    node.hear("a", 10)
    assert node.history == [
        Position("a", 8), None, Position("b", 4), Position("b", 5), Position("b", 6)
    ]
    assert node.counts.stale == 2


def test_a_former_master_that_talks_first_does_not_decide() -> None:
    node = Listening()
    node.hear("b", 4)
    node.hear("a", 9)
    assert node.replay(node.found("b", 5, 4))
    node.hear("b", 5)
    assert node.history == [Position("b", 4), Position("b", 5)]
    assert node.counts.stale == 1


def test_what_came_after_the_read_began_is_not_judged_by_it() -> None:
    node = Listening()
    node.hear("a", 4)
    node.hear("a", 6)
    reading = node.track.begin_read()
    node.hear("b", 5)
    assert node.reception.replay(node.track, node.found("a", 5, 6), reading)
    assert node.offsets == [4, 5, 6]
    assert node.replay(Recovery(False, Position("b", 5)))
    assert node.history[-2:] == [None, Position("b", 5)]


def test_a_read_that_finds_another_epoch_is_a_gap() -> None:
    node = Listening()
    node.hear("a", 8)
    assert node.learn("b", 4) is Learned.GAP
    node.hear("b", 5)
    assert node.history == [Position("a", 8), None, Position("b", 5)]


def test_an_earlier_read_does_not_take_back_what_a_later_one_found() -> None:
    node = Listening()
    node.hear("a", 8)
    earlier = node.track.begin_read()
    node.learn("b", 4)
    assert node.reception.learn(node.track, Position("a", 9), earlier) is Learned.OUTDATED
    node.hear("b", 5)
    assert node.history == [Position("a", 8), None, Position("b", 5)]
    node.hear("b", 7)
    assert node.reception.replay(node.track, Recovery(False, Position("a", 9)), earlier)
    assert node.track.waiting is not None, "it has to be read again"


def test_an_epoch_that_a_read_finds_again_holds_again() -> None:
    node = Listening()
    for epoch in "aba":
        node.learn(epoch, 4)
    node.hear("b", 5)
    node.hear("a", 5)
    assert node.history == [None, None, Position("a", 5)]


def test_until_it_is_settled_what_a_read_counted_may_still_arrive() -> None:
    node = Listening()
    node.learn("a", 3)
    node.hear("a", 2, 3)
    node.track.is_settled = True
    node.hear("a", 3, 4)
    assert node.offsets == [2, 3, 4]


def test_a_stream_that_is_gone_is_no_answer_to_what_is_missing() -> None:
    node = Listening()
    node.hear("a", 1, 3)
    assert not node.replay(Recovery(False, Position()))


def test_a_stream_that_is_gone_is_a_gap_and_the_next_one_begins_anywhere() -> None:
    node = Listening()
    node.hear("a", 8)
    node.reception.forget(node.track)
    node.hear("a", 9)
    node.hear("b", 1)
    assert node.history == [Position("a", 8), None, Position("b", 1)]


def test_what_waits_is_bounded() -> None:
    node = Listening()
    node.hear("a", 1, *range(3, MOST_WAITING + 2))
    assert node.offsets == [1]
    node.hear("a", MOST_WAITING + 2)
    assert node.offsets == [1, None, *range(3, MOST_WAITING + 3)]
    node.hear("a", MOST_WAITING + 3)
    assert node.offsets[-1] == MOST_WAITING + 3


def test_publications_without_a_position_keep_their_place() -> None:
    node = Listening()
    plain = (KEYS.shard, b'n {"data":0}')
    node.reception.take([said("a", 1), plain, said("a", 3), plain, said("a", 4)])
    assert node.offsets == [1, 0]
    node.replay(node.found("a", 2, 2))
    assert node.offsets == [1, 0, 2, 3, 0, 4]


def test_a_jump_goes_forward_only() -> None:
    track = Track(KEYS)
    assert track.jump("a", 5)
    assert not track.jump("a", 5)
    assert track.jump("b", 1)
    assert not track.jump("a", 9)
    assert track.jump("", 0)
    assert (track.epoch, track.offset) == ("b", 1)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(["heard", "lost", "twice"])),
        st.tuples(st.just("again"), st.integers(0, 6)),
        st.tuples(st.just("failover"), st.integers(0, 3)),
        st.tuples(st.just("former"), st.integers(1, 3)),
        st.tuples(st.just("repair"), st.sampled_from(["found", "trimmed", "failed"])),
        st.tuples(st.just("check"), st.just(0)),
    ),
    max_size=40,
)


class Shell(Listening):
    """It and what `CatchingUp` does, with the stream as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = 1
        self.top = 0

    def repair(self, how: object) -> None:
        while self.track.waiting is not None:
            found = Recovery(False, Position(str(self.epoch), self.top))
            is_there = self.track.epoch == str(self.epoch) and self.track.offset <= self.top
            if how == "found" and is_there:
                found = self.found(str(self.epoch), self.track.offset + 1, self.top)
            if how == "failed" or not self.replay(found):
                self.reception.give_up(self.track)

    def check(self) -> None:
        self.learn(str(self.epoch), self.top)
        if self.track.waiting is None:
            self.track.is_settled = True
            if self.track.offset < self.top:
                self.track.begin_repair()
        self.repair("found")

    def do(self, event: str, what: object) -> None:
        match event, what:
            case "publish", _:
                self.top += 1
                for _ in range({"heard": 1, "lost": 0, "twice": 2}[str(what)]):
                    self.hear(str(self.epoch), self.top)
            case "again", int() if self.top > what:
                self.hear(str(self.epoch), self.top - what)
            case "failover", int():
                self.epoch, self.top = self.epoch + 1, max(0, self.top - what)
            case "former", int() if self.epoch > 1:
                self.hear(str(self.epoch - 1), self.top + what)
            case "repair", _:
                self.repair(what)
            case "check", _:
                self.check()


@given(EVENTS)
@example([("failover", 0), ("publish", "heard"), ("former", 1), ("repair", "failed")])
@example([
    ("publish", "heard"), ("failover", 0), ("publish", "heard"), ("publish", "lost"),
    ("publish", "heard"), ("repair", "failed"),
])
@example([("publish", "heard"), ("publish", "lost"), ("failover", 0), ("publish", "heard")])
def test_no_gap_is_silent_and_in_the_end_it_is_where_the_stream_is(
    events: list[tuple[str, object]],
) -> None:
    node = Shell()
    for event, what in events:
        node.do(event, what)
    node.check()
    node.check()
    for last, this in zip(node.history, node.history[1:], strict=False):
        if last is not None and this is not None:
            assert this == Position(last.epoch, last.offset + 1)
    assert (node.track.epoch, node.track.offset) == (str(node.epoch), node.top)
    assert node.track.waiting is None
    handed_on = [each for each in node.history if each is not None]
    if node.history and node.history[-1] is not None and handed_on:
        assert handed_on[-1] == Position(str(node.epoch), node.top)
