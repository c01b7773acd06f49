"""One channel as its checks see it: which message stands at which position, and who says so."""

from __future__ import annotations

from attrs import define, field

from tests.history import events as ev
from tests.history.columns import Channel, Segment
from tests.history.intake import BadLog, History


@define(eq=False)
class Stream:
    """Look-ups over a channel's columns; they live as long as its checks.

    :param rows: message -> row of its `pub_invoke`.
    :param acks: message -> row of its first `pub_ok`.
    :param places: epoch -> offset -> message; filled by the check of agreement.
    :param where: message -> (epoch, offset) of its place, the latest one if there are several.
    :param twins: message -> all that are one publication with it, by their key.
    :param by_client: the segments of each client in their order.
    """

    history: History
    channel: Channel
    rows: dict[int, int] = field(init=False)
    acks: dict[int, int] = field(init=False)
    places: dict[str, dict[int, int]] = field(init=False, factory=dict)
    where: dict[int, tuple[str, int]] = field(init=False, factory=dict)
    twins: dict[int, list[int]] = field(init=False, factory=dict)
    by_client: dict[str, list[Segment]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        channel = self.channel
        self.rows = dict(zip(channel.invoked, range(len(channel.invoked)), strict=True))
        if len(self.rows) < len(channel.invoked):
            raise BadLog(f"a mid was used twice in {channel.name}")
        last = len(channel.acked) - 1
        # Backwards, so that the first acknowledgement of a message stays.
        self.acks = dict(
            zip(reversed(channel.acked), range(last, -1, -1), strict=True)
        )
        for segment in channel.segments:
            self.by_client.setdefault(segment.client.cid, []).append(segment)
        for segments in self.by_client.values():
            segments.sort(key=lambda segment: segment.seg)

    @property
    def name(self) -> str:
        """The channel."""
        return self.channel.name

    def are_one(self, one: int, other: int) -> bool:
        """Whether two messages are one publication."""
        return one == other or other in self.twins.get(one, ())

    # -- events out of columns ----------------------------------------------------------------

    def invoke(self, number: int) -> ev.PubInvoke | None:
        """Return the `pub_invoke` of a message."""
        row = self.rows.get(number)
        if row is None:
            return None
        channel = self.channel
        return ev.PubInvoke(
            mid=self.mid(number), ch=channel.name, crc=channel.invoked_crc[row],
            key=channel.keys.get(number, ""), t=channel.invoked_at[row],
        )

    def ok(self, number: int) -> ev.PubOk | None:
        """Return the first `pub_ok` of a message."""
        row = self.acks.get(number)
        return None if row is None else self.ok_at(row)

    def ok_at(self, row: int) -> ev.PubOk:
        """Return a `pub_ok` by its row."""
        channel = self.channel
        return ev.PubOk(
            mid=self.mid(channel.acked[row]), ch=channel.name,
            epoch=self.history.words[channel.acked_epoch[row]], offset=channel.acked_offset[row],
            durability=self.history.words[channel.acked_durability[row]], t=channel.acked_at[row],
        )

    def delivery(self, segment: Segment, row: int) -> ev.Deliver:
        """Return a `deliver` by its segment and row."""
        return ev.Deliver(
            cid=segment.client.cid, ch=segment.ch, epoch=segment.epoch, seg=segment.seg,
            offset=segment.offsets[row], mid=self.mid(segment.mids[row]),
            crc=segment.crcs[row], t=segment.times[row],
        )

    def mid(self, number: int) -> str:
        """Return the `mid` of a number."""
        return self.history.numbers.mid(number)

    # -- who says so --------------------------------------------------------------------------

    def claim(self, epoch: str, offset: int, number: int) -> ev.PubOk | ev.Deliver | None:
        """Return an event that puts a message at a position; takes a pass over the channel."""
        channel = self.channel
        for row, acked in enumerate(channel.acked):
            if acked == number and channel.acked_offset[row] == offset and (
                self.history.words[channel.acked_epoch[row]] == epoch
            ):
                return self.ok_at(row)
        return self.heard(epoch, offset, number)

    def heard(self, epoch: str, offset: int, number: int) -> ev.Deliver | None:
        """Return a delivery of a message from a position; takes a pass over the channel."""
        for segment in self.channel.segments:
            if segment.epoch != epoch:
                continue
            for row, at in enumerate(segment.offsets):
                if at == offset and segment.mids[row] == number:
                    return self.delivery(segment, row)
        return None
