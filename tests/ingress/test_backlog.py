"""The backlog of a stalled connection: bounded, in order, dropping only what policy allows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.channels.channel import Channel
from wsmesh.ingress.backlog import TOLERATED, StalledFrames

LIMIT = 100


class Verdicts:
    """Counts what the backlog reports."""

    def __init__(self) -> None:
        self.overflown = 0
        self.dropped = 0

    def overflow(self) -> None:
        self.overflown += 1

    def drop(self) -> None:
        self.dropped += 1


def backlog(limit: int = LIMIT) -> tuple[StalledFrames, Verdicts]:
    verdicts = Verdicts()
    return StalledFrames(limit, verdicts.overflow, verdicts.drop), verdicts


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
    frames.put(b"close", None)
    frames.seal()
    frames.put(b"late", None)
    assert frames.take(1000) == b"restclose"


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
