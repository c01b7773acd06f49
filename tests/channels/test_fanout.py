"""Fan-out: order per channel, fairness between channels, nothing sent twice or to leavers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from wsmesh.channels.channel import Channel, PreparedPush
from wsmesh.channels.fanout import SLICE, Fanout
from wsmesh.channels.hub import Hub
from wsmesh.config.sections import CompressionSection
from wsmesh.protocol.messages import ClientInfo, Publication
from wsmesh.store.interface import Position


class Receiver:
    """A connection's sending half."""

    def __init__(self, dialect: int = 0) -> None:
        self.dialect = dialect
        self.out: bytes | list[bytes] | None = None
        self.backlog = None

    @property
    def frames(self) -> list[bytes]:
        return self.out if isinstance(self.out, list) else [self.out] if self.out else []


def fanout() -> Fanout:
    return Fanout(now=lambda: 0.0, finished=lambda receivers, seconds: None)


def prepared(channel: Channel, number: int) -> PreparedPush:
    return PreparedPush(channel, Publication(Raw(b"%d" % number)), None, 0)


def settle(out: Fanout) -> None:
    while out.step():
        pass


@given(
    sizes=st.lists(st.sampled_from([1, SLICE, SLICE + 1, 3 * SLICE]), min_size=1, max_size=4),
    published=st.lists(st.integers(0, 3), max_size=12),
    steps=st.lists(st.booleans(), max_size=12),
)
def test_every_receiver_gets_a_channels_publications_once_and_in_order(
    sizes: list[int], published: list[int], steps: list[bool]
) -> None:
    out = fanout()
    channels = []
    for number, size in enumerate(sizes):
        channel = Channel(f"c{number}", "disconnect")
        for _ in range(size):
            channel.add(Receiver(), with_events=False)
        channels.append(channel)
    expected: dict[Channel, list[bytes]] = {channel: [] for channel in channels}
    turns = iter(steps)
    for count, which in enumerate(published):
        channel = channels[which % len(channels)]
        push = prepared(channel, count)
        expected[channel].append(push.build(0))
        out.push(channel, push, channel.receivers())
        if next(turns, False):
            out.step()
    settle(out)
    for channel in channels:
        for receiver in channel.receivers():
            assert receiver.frames == expected[channel]


def test_a_huge_channel_delays_a_small_one_by_no_slice_at_all() -> None:
    out = fanout()
    huge, small = Channel("huge", "disconnect"), Channel("small", "disconnect")
    for _ in range(20 * SLICE):
        huge.add(Receiver(), with_events=False)
    reader = Receiver()
    small.add(reader, with_events=False)
    out.push(huge, prepared(huge, 1), huge.receivers())
    assert out.step()
    out.push(small, prepared(small, 2), small.receivers())
    assert reader.frames
    served = sum(bool(sink.out) for sink in huge.receivers())
    assert served == SLICE


def test_two_huge_channels_take_turns() -> None:
    out = fanout()
    channels = [Channel(name, "disconnect") for name in "ab"]
    for channel in channels:
        for _ in range(4 * SLICE):
            channel.add(Receiver(), with_events=False)
        out.push(channel, prepared(channel, 1), channel.receivers())
    out.step()
    out.step()
    served = [sum(bool(sink.out) for sink in channel.receivers()) for channel in channels]
    assert served == [SLICE, SLICE]


def test_a_frame_is_encoded_once_for_all_receivers_of_a_dialect() -> None:
    out = fanout()
    channel = Channel("news", "disconnect")
    readers = [Receiver(dialect) for dialect in (0, 0, 2, 2, 4)]
    for reader in readers:
        channel.add(reader, with_events=False)
    out.push(channel, prepared(channel, 7), channel.receivers())
    assert readers[0].frames[0] is readers[1].frames[0]
    assert readers[2].frames[0] is readers[3].frames[0]
    assert readers[0].frames[0].endswith(b'{"push":{"channel":"news","pub":{"data":7}}}')
    assert readers[2].frames[0].endswith(b'{"channel":"news","pub":{"data":7}}')
    assert readers[4].frames[0].endswith(b"7")


def test_compressed_dialects_get_a_compressed_frame_from_the_size_on() -> None:
    out = fanout()
    hub = Hub(out, CompressionSection(enabled=True, min_size=100))
    plain, deflated = Receiver(0), Receiver(1)
    for reader in (plain, deflated):
        hub.go_live("c", hub.join("c", "disconnect"), reader, with_events=False)
    hub.deliver("c", Publication(Raw(b'"short"')), Position())
    hub.deliver("c", Publication(Raw(b'"' + b"long" * 100 + b'"')), Position())
    assert plain.frames[0] == deflated.frames[0]
    assert deflated.frames[1][0] == 0xC1
    assert plain.frames[1][0] == 0x81
    assert len(deflated.frames[1]) < len(plain.frames[1]) / 4


def test_what_arrives_while_joining_is_kept_and_not_sent() -> None:
    out = fanout()
    hub = Hub(out, CompressionSection())
    reader = Receiver()
    joining = hub.join("c", "disconnect")
    hub.deliver("c", Publication(Raw(b"1"), offset=1), Position("e", 1))
    hub.go_live("c", joining, reader, with_events=False)
    hub.deliver("c", Publication(Raw(b"2"), offset=2), Position("e", 2))
    assert [each.offset for each in joining.publications] == [1]
    assert len(reader.frames) == 1


def test_joins_reach_only_those_who_asked_for_them() -> None:
    hub = Hub(fanout(), CompressionSection())
    curious, other = Receiver(), Receiver()
    hub.go_live("c", hub.join("c", "disconnect"), curious, with_events=True)
    hub.go_live("c", hub.join("c", "disconnect"), other, with_events=False)
    hub.presence_event("c", ClientInfo(user="u", client="x"), True)
    assert b'"join"' in curious.frames[0]
    assert other.frames == []


def test_a_channel_without_subscribers_is_forgotten() -> None:
    hub = Hub(fanout(), CompressionSection())
    reader = Receiver()
    hub.give_up("a", hub.join("a", "disconnect"))
    hub.go_live("b", hub.join("b", "disconnect"), reader, with_events=False)
    hub.leave("b", reader)
    assert len(hub) == 0
    assert hub.subscriptions == 0
    assert hub.take_vacated() == {"a", "b"}
    assert hub.take_vacated() == set()


def test_a_batch_is_urgent_by_its_frames_or_by_its_bytes() -> None:
    for limit, size, urgent_at in ((3, 10_000, 3), (100, 200, 5)):
        out = Fanout(
            now=lambda: 0.0, finished=lambda receivers, seconds: None,
            batch_limit=limit, batch_bytes=size,
        )  # fmt: skip
        channel = Channel("c", "disconnect")
        channel.add(Receiver(), with_events=False)
        for count in range(1, urgent_at + 1):
            assert out.urgent == []
            out.push(channel, prepared(channel, 1), channel.receivers())
            assert count * len(prepared(channel, 1).build(0)) < size or count == urgent_at
        assert len(out.urgent) == 1
