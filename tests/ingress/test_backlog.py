"""The backlog of a stalled connection: bounded, in order, dropping only what policy allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.channels.channel import Channel
from wsmesh.ingress.backlog import RESERVE, TOLERATED, Budget, StalledFrames

LIMIT = 100
AMPLE = 10**9


class Verdicts:
    """Counts what the backlog reports."""

    def __init__(self) -> None:
        self.limits: list[str] = []
        self.dropped = 0

    @property
    def overflown(self) -> int:
        return self.limits.count("slow_consumer")

    def overflow(self, limit: str) -> None:
        self.limits.append(limit)

    def drop(self) -> None:
        self.dropped += 1


def backlog(limit: int = LIMIT) -> tuple[StalledFrames, Verdicts]:
    verdicts = Verdicts()
    frames = StalledFrames(limit, verdicts.overflow, verdicts.drop, Budget(lambda: AMPLE))
    return frames, verdicts


def test_frames_come_out_in_order_after_the_interrupted_one() -> None:
    frames, _ = backlog()
    frames.begin(b"rest")
    frames.put(b"one", None)
    frames.put(b"two", None)
    assert frames.take(1000) == b"restonetwo"
    assert not frames


def test_what_was_not_taken_goes_first_again() -> None:
    frames, _ = backlog()
    frames.put(b"one", None)
    frames.put(b"two", None)
    data = frames.take(1000)
    frames.begin(data[2:])
    assert frames.take(1000) == b"etwo"


def test_a_frame_that_fits_exactly_is_kept_and_one_byte_more_is_too_slow() -> None:
    frames, verdicts = backlog()
    frames.put(b"x" * LIMIT, None)
    assert verdicts.overflown == 0
    frames.put(b"x", None)
    assert verdicts.overflown == 1


def test_drop_oldest_drops_only_its_own_channel() -> None:
    frames, verdicts = backlog()
    lossy, strict = Channel("lossy", "drop_oldest"), Channel("strict", "disconnect")
    frames.put(b"s" * 40, strict)
    frames.put(b"1" * 30, lossy)
    frames.put(b"2" * 30, lossy)
    frames.put(b"3" * 30, lossy)
    assert frames.take(1000) == b"s" * 40 + b"2" * 30 + b"3" * 30
    assert (verdicts.overflown, verdicts.dropped) == (0, 1)


def test_keep_latest_keeps_one_per_channel() -> None:
    frames, verdicts = backlog()
    price = Channel("price", "keep_latest")
    for number in range(10):
        frames.put(b"%d" % number, price)
    assert frames.take(1000) == b"9"
    assert verdicts.dropped == 9


@pytest.mark.parametrize("policy", ["keep_latest", "drop_oldest"])
def test_dropped_frames_do_not_pile_up(policy: str) -> None:
    frames, verdicts = backlog()
    channel = Channel("c", policy)
    for _ in range(100_000):
        frames.put(b"x" * 10, channel)
    assert verdicts.dropped >= 99_990
    assert len(frames) <= 2 * TOLERATED + 20


def test_clearing_completes_the_interrupted_frame_only() -> None:
    frames, _ = backlog()
    frames.begin(b"rest")
    frames.put(b"gone", None)
    frames.clear()
    frames.seal(b"close")
    frames.seal(b"again")
    frames.put(b"late", None)
    assert frames.take(1000) == b"restclose"


def test_the_last_frame_is_queued_even_when_there_is_no_room() -> None:
    frames, verdicts = backlog()
    frames.begin(b"x" * (LIMIT + 1))
    assert verdicts.overflown == 1
    frames.clear()
    frames.seal(b"close")
    assert frames.take(1000).endswith(b"xclose")
    assert verdicts.overflown == 1


operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 60), st.sampled_from(["a", "b", "c"])),
        st.tuples(st.just("take"), st.integers(1, 120), st.just("")),
    ),
    max_size=40,
)


@given(operations)
def test_size_is_exact_and_bounded_and_order_survives(steps: list[tuple[str, int, str]]) -> None:
    frames, _ = backlog()
    policies = {"a": "disconnect", "b": "drop_oldest", "c": "keep_latest"}
    channels = {name: Channel(name, policy) for name, policy in policies.items()}
    sent: dict[str, list[int]] = {"a": [], "b": [], "c": []}
    number = 0
    for action, size, name in steps:
        if action == "put":
            number += 1
            frames.put(name.encode() + b"%03d" % number + b"." * size, channels[name])
        else:
            for part in frames.take(size).replace(b".", b"").decode().split():
                while part:
                    sent[part[0]].append(int(part[1:4]))
                    part = part[4:]
        assert 0 <= frames.size <= LIMIT
    rest = frames.take(10**6).replace(b".", b"").decode()
    while rest:
        sent[rest[0]].append(int(rest[1:4]))
        rest = rest[4:]
    assert frames.size == 0
    for numbers in sent.values():
        assert numbers == sorted(set(numbers))


class Crowd:
    """Backlogs that share a budget; each ends as a connection does: cleared, sealed."""

    def __init__(self, budget: int) -> None:
        self.allowed = budget
        self.budget = Budget(lambda: self.allowed)
        self.ended: list[StalledFrames] = []
        self.limits: list[str] = []

    def stalled(self, size: int = 0, *, head: int = 0) -> StalledFrames:
        """Return a backlog that holds so many bytes, `head` of them begun."""

        def end(limit: str) -> None:
            self.limits.append(limit)
            self.ended.append(frames)
            frames.clear()
            frames.seal(b"bye")

        frames = StalledFrames(10**6, end, lambda: None, self.budget)
        if head:
            frames.begin(b"h" * head)
        if size:
            frames.put(b"x" * size, None)
        return frames


def test_a_budget_that_is_exactly_used_up_ends_nobody_and_one_byte_more_ends_the_largest() -> None:
    crowd = Crowd(1000)
    small, large, middle = crowd.stalled(200), crowd.stalled(500), crowd.stalled(300)
    assert (crowd.budget.held, crowd.ended) == (1000, [])
    small.put(b"x", None)
    assert crowd.ended == [large]
    assert crowd.limits == ["send_queue_total"]
    assert crowd.budget.held == small.size + middle.size == 501


def test_a_backlog_that_grows_past_the_budget_may_itself_be_the_largest() -> None:
    crowd = Crowd(1000)
    others = [crowd.stalled(100) for _ in range(3)]
    frames = crowd.stalled(600)
    frames.put(b"x" * 200, None)
    assert crowd.ended == [frames]
    assert frames.take(10_000) == b"bye"
    assert all(other.size == 100 for other in others)


def test_as_many_end_as_it_takes_to_be_below_and_some_room_is_kept() -> None:
    crowd = Crowd(1000)
    backlogs = [crowd.stalled(10) for _ in range(100)]
    backlogs[7].put(b"x", None)
    assert crowd.ended[0] is backlogs[7]
    assert 1000 - 1000 // RESERVE - 10 < crowd.budget.held <= 1000 - 1000 // RESERVE


def test_what_cannot_be_taken_back_does_not_cost_the_others_their_connections() -> None:
    crowd = Crowd(1000)
    begun, other = crowd.stalled(head=700), crowd.stalled(200)
    other.put(b"x" * 150, None)
    assert crowd.ended == [begun]
    assert begun.size == 700 + len(b"bye")
    assert crowd.budget.held == other.size == 350


def test_an_interrupted_write_counts_as_soon_as_it_begins() -> None:
    crowd = Crowd(1000)
    quiet = crowd.stalled(100)
    loud = crowd.stalled(head=901)
    assert crowd.ended == [loud]
    assert quiet.size == 100


def test_a_smaller_budget_holds_from_the_next_frame_on() -> None:
    crowd = Crowd(1000)
    large, small = crowd.stalled(500), crowd.stalled(100)
    crowd.allowed = 300
    assert crowd.ended == []
    small.put(b"x", None)
    assert crowd.ended == [large]


def test_a_connection_that_does_not_end_by_itself_is_passed_over() -> None:
    asked = []
    budget = Budget(lambda: 100)
    deaf = StalledFrames(10**6, asked.append, lambda: None, budget)
    deaf.put(b"x" * 150, None)
    deaf.put(b"x", None)
    assert asked == ["send_queue_total"] * 2


@given(st.data())
def test_what_is_held_is_always_the_sum_of_what_is_not_sealed(data: st.DataObject) -> None:
    crowd = Crowd(400)
    policies = ["disconnect", "drop_oldest", "keep_latest"]
    channels = [Channel(policy, policy) for policy in policies]
    backlogs = [crowd.stalled() for _ in range(4)]
    for _ in range(data.draw(st.integers(0, 40))):
        frames = data.draw(st.sampled_from(backlogs))
        match data.draw(st.sampled_from(["put", "put", "put", "take", "clear", "seal"])):
            case "put":
                frames.put(b"x" * data.draw(st.integers(1, 120)), data.draw(
                    st.sampled_from([*channels, None])))
            case "take":
                part = frames.take(data.draw(st.integers(1, 200)))
                frames.begin(part[data.draw(st.integers(0, len(part))) :])
            case "clear":
                frames.clear()
            case "seal":
                frames.seal(b"bye")
                crowd.ended.append(frames)
        live = [each for each in backlogs if each not in crowd.ended]
        assert crowd.budget.held == sum(each.size for each in live)
        assert crowd.budget.held <= 400
