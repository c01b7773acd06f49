"""A channel with one subscriber: what goes there directly is what would go through a fan-out."""

from __future__ import annotations

import pytest
from msgspec import Raw

from wsmesh.channels.channel import Channel, Sink
from wsmesh.channels.fanout import SLICE, Fanout
from wsmesh.channels.hub import Hub
from wsmesh.config.sections import CompressionSection
from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import Position

COMPRESSING = CompressionSection(enabled=True, min_size=100)
LONG = b'"' + b"long" * 100 + b'"'


class Queue:
    """Where frames of a stalled socket go."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, Channel | None]] = []

    def put(self, frame: bytes, channel: Channel | None) -> None:
        self.kept.append((frame, channel))


class Receiver:
    """A connection's sending half."""

    def __init__(self, dialect: int = 0) -> None:
        self.dialect = dialect
        self.out: bytes | list[bytes] | None = None
        self.backlog: Queue | None = None

    @property
    def sent(self) -> bytes:
        return b"".join(self.out) if isinstance(self.out, list) else self.out or b""


def open_fanout(batch_limit: int = 0, batch_bytes: int = 0) -> tuple[Fanout, list[int]]:
    """Return a fan-out, and where it counts the receivers of what reached all of theirs."""
    reached: list[int] = []
    out = Fanout(
        now=lambda: 0.0, finished=lambda receivers, seconds: reached.extend(receivers),
        batch_limit=batch_limit, batch_bytes=batch_bytes,
    )  # fmt: skip
    return out, reached


def subscribe(hub: Hub, sink: Sink) -> None:
    hub.go_live("c", hub.join("c", "keep_latest"), sink, with_events=False)


def deliver(hub: Hub, data: bytes) -> None:
    hub.deliver("c", Publication(Raw(data)), Position())


@pytest.mark.parametrize("dialect", range(6))
@pytest.mark.parametrize("data", [b"1", LONG], ids=["short", "long"])
def test_one_of_one_gets_the_bytes_that_one_of_two_gets(dialect: int, data: bytes) -> None:
    out, reached = open_fanout()
    alone, crowded = Hub(out, COMPRESSING), Hub(out, COMPRESSING)
    only, one, other = Receiver(dialect), Receiver(dialect), Receiver()
    subscribe(alone, only)
    subscribe(crowded, one)
    subscribe(crowded, other)
    deliver(alone, data)
    deliver(crowded, data)
    assert only.sent == one.sent
    assert (only.sent[0] == 0xC1) is (data == LONG and dialect % 2 == 1)
    assert out.dirty == [only, one, other]
    out.end_turn()
    assert reached == [1, 2]


def test_the_last_one_of_many_still_gets_what_is_on_its_way_first() -> None:
    out, reached = open_fanout()
    hub = Hub(out, CompressionSection())
    many = [Receiver() for _ in range(2 * SLICE)]
    for each in many:
        subscribe(hub, each)
    deliver(hub, b"1")
    for each in many[:-1]:
        hub.leave("c", each)
    deliver(hub, b"2")
    while out.step():
        pass
    deliver(hub, b"3")
    out.end_turn()
    data = [many[-1].sent.index(b'"data":%d' % number) for number in (1, 2, 3)]
    assert data == sorted(data)
    assert reached == [2 * SLICE, 1, 1]


def test_a_stalled_subscriber_keeps_its_channels_policy() -> None:
    out, _ = open_fanout()
    hub = Hub(out, CompressionSection())
    reader = Receiver()
    reader.backlog = Queue()
    subscribe(hub, reader)
    deliver(hub, b"1")
    out.send(reader, b"a reply")
    assert [channel and channel.policy for _, channel in reader.backlog.kept] == [
        "keep_latest", None,
    ]
    assert out.dirty == []


def test_its_batch_is_urgent_when_it_is_full() -> None:
    out, _ = open_fanout(batch_limit=2, batch_bytes=10_000)
    hub = Hub(out, CompressionSection())
    reader = Receiver()
    subscribe(hub, reader)
    deliver(hub, b"1")
    assert out.urgent == []
    deliver(hub, b"2")
    assert out.urgent == [reader]


def test_it_wakes_the_pump_once() -> None:
    out, _ = open_fanout()
    rung: list[bool] = []
    out.wake = lambda: rung.append(out.is_awake)
    hub = Hub(out, CompressionSection())
    subscribe(hub, Receiver())
    deliver(hub, b"1")
    deliver(hub, b"2")
    assert rung == [True]


def test_frames_of_a_turn_keep_their_order() -> None:
    out, _ = open_fanout()
    reader = Receiver()
    frames = [b"%d" % number for number in range(5)]
    for frame in frames:
        out.send(reader, frame)
    assert reader.sent == b"".join(frames)
    assert out.dirty == [reader]


def test_replies_count_in_a_batch_too() -> None:
    out, _ = open_fanout(batch_limit=3, batch_bytes=10_000)
    hub = Hub(out, CompressionSection())
    reader = Receiver()
    subscribe(hub, reader)
    out.send(reader, b"a reply")
    deliver(hub, b"1")
    assert out.urgent == []
    deliver(hub, b"2")
    assert out.urgent == [reader]
