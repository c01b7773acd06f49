"""What one client got from one channel follows from its position: I3, I4, I7, I12, and I6 without
history.

A client's segments form a chain: one that recovered begins where the one before ended, any other
begins at the stream's top.
"""

from __future__ import annotations

from array import array

from attrs import define, field

from tests.history import events as ev
from tests.history.columns import Segment
from tests.history.found import Found
from tests.history.stream import Stream

REASONS = frozenset({
    "", "history_expired", "backlog_limit", "epoch_changed", "store_failover", "permission",
    "unknown_position",
})
"""Why a subscription did not recover, `recovered: false`."""

OTHER_EPOCH = frozenset({"epoch_changed", "store_failover"})


def check_continuity(stream: Stream, found: Found) -> None:
    """Follow every client through the channel."""
    for segments in stream.by_client.values():
        reader = _Reader(stream, found)
        for segment in segments:
            reader.follow(segment)


@define(eq=False)
class _Reader:
    """A client's place in a channel.

    :param before: the last segment, None: there was none.
    :param epoch: of the place, "" while there is none.
    :param position: everything up to here was delivered, or a gap was announced.
    :param highest: epoch -> the highest offset that was delivered.
    """

    stream: Stream
    found: Found
    before: ev.Sub | None = None
    epoch: str = ""
    position: int = 0
    last: ev.Deliver | None = None
    abandoned: set[str] = field(factory=set)
    highest: dict[str, int] = field(factory=dict)

    def follow(self, segment: Segment) -> None:
        """Check the next segment."""
        sub = segment.sub
        for stray in segment.strays[:1]:
            text = "was delivered in a segment of another epoch"
            if sub is None:
                self._add("I4", f"{stray.mid} was delivered outside of any subscription", stray)
            else:
                self._add("I7", f"{stray.mid} {text}", sub, stray)
        if sub is None:
            if segment.mids:
                self._add("I4", "delivered outside of any subscription",
                          self.stream.delivery(segment, 0))
            return
        if not segment.is_positioned:
            self._check_without_history(segment)
            self.before = sub
            return
        self._check_epoch(sub)
        start = self._start(sub)
        # While a client moves, its old connection goes on delivering after the new one asked, and
        # the position that the answer is about is not known.
        self._check_flag(sub, is_exact=not self.epoch or segment.asked_after > 0)
        self._check_offsets(segment, sub, start)
        self.epoch, self.before = sub.epoch, sub

    def _add(self, invariant: str, text: str, *events: ev.Event | None) -> None:
        cid = next((getattr(event, "cid", "") for event in events if hasattr(event, "cid")), "")
        self.found.add(invariant, self.stream.name, f"{cid}: {text}", *events)

    def _check_epoch(self, sub: ev.Sub) -> None:
        self.found.looked_at["I7"] += 1
        asked = self.epoch or sub.since_epoch
        if sub.recovered and asked and sub.epoch != asked:
            self._add("I7", f"the epoch changed from {asked} to {sub.epoch} with recovered: true",
                      self.before, sub)
        if sub.epoch in self.abandoned:
            self._add("I7", f"the abandoned epoch {sub.epoch} returned", self.before, sub)
        if self.epoch and sub.epoch != self.epoch:
            self.abandoned.add(self.epoch)

    def _start(self, sub: ev.Sub) -> int:
        """Return the offset after which the segment delivers, -1: any."""
        if not sub.recovered:
            return sub.offset
        if self.epoch != sub.epoch:
            return sub.since if not self.epoch else -1
        if sub.since > self.position:
            self._add("I12", f"recovered from {sub.since}, but {self.position} was delivered last",
                      self.last, sub)
        return self.position

    def _check_flag(self, sub: ev.Sub, *, is_exact: bool) -> None:
        """The flag and its reason are consistent with each other and with the positions.

        :param is_exact: nothing was delivered between the question and the answer.
        """
        if sub.was_recovering:
            self.found.looked_at["I12"] += 1
            self.found.sometimes["S2"] += not sub.recovered
        known = bool(self.epoch) or sub.since >= 0
        epoch = self.epoch or sub.since_epoch
        position = self.position if self.epoch else sub.since
        is_same = known and epoch in ("", sub.epoch)
        if sub.recovered and not sub.was_recovering:
            self._add("I12", "recovered: true, but nothing was to be recovered", sub)
        if sub.reason not in REASONS or (sub.recovered and sub.reason):
            self._add("I12", f"the reason {sub.reason!r} does not go with "
                             f"recovered: {str(sub.recovered).lower()}", sub)
        if sub.reason in OTHER_EPOCH and known and is_same:
            self._add("I12", f"{sub.reason}, but the epoch is the same", self.before, sub)
        if not is_same or not is_exact:
            return
        if sub.reason == "history_expired" and 0 <= sub.first <= position + 1:
            self._add("I12", f"history_expired, but {sub.first} is retained and "
                             f"{position + 1} was wanted", self.last, sub)
        if sub.offset < position:
            self._add("I12", f"the top went back from {position} to {sub.offset} "
                             f"in epoch {sub.epoch}", self.last, sub)
        elif (sub.was_recovering and not sub.recovered and sub.offset == position
              and sub.reason != "permission"):
            self._add("I12", "recovered: false, but nothing was missing", self.last, sub)

    def _check_offsets(self, segment: Segment, sub: ev.Sub, start: int) -> None:
        offsets = segment.offsets
        count = len(offsets)
        found = self.found
        found.looked_at["I3"] += count
        found.looked_at["I4"] += count
        if start < 0:
            start = offsets[0] - 1 if count else sub.offset
        high = self.highest.get(sub.epoch, 0)
        if sub.recovered and count and offsets[0] <= sub.offset:
            found.sometimes["S1"] += 1
        self.position = start
        if not count:
            return
        expected = array("q", range(start + 1, start + 1 + count))
        if start < high or offsets != expected:
            self._explain(segment, sub, start, high)
        self.position = max(start, offsets[-1])
        self.highest[sub.epoch] = max(high, self.position)
        self.last = self.stream.delivery(segment, count - 1)

    def _explain(self, segment: Segment, sub: ev.Sub, start: int, high: int) -> None:
        """Say what is wrong with offsets that are not the expected ones."""
        at = start
        previous: ev.Event | None = self.last if sub.recovered and self.last else sub
        for row, offset in enumerate(segment.offsets):
            now = self.stream.delivery(segment, row)
            if offset <= high:
                before = self._delivered_before(segment, row)
                self._add("I3", f"{sub.epoch}/{offset} was delivered again, or after a later one",
                          before or previous, now)
            elif offset <= at:
                invariant = "I12" if sub.was_recovering and not sub.recovered else "I4"
                self._add(invariant, f"{sub.epoch}/{offset} was delivered, but the subscription "
                                     f"begins after {start}", sub, now)
            elif offset > at + 1:
                is_replay = sub.recovered and at < sub.offset
                text = f"{sub.epoch}/{at + 1} to {offset - 1} are missing"
                missing = self.stream.places.get(sub.epoch, {}).get(at + 1)
                self._add("I12" if is_replay else "I4",
                          text + (" though recovered: true" if is_replay else ""),
                          sub if is_replay else None, previous, now,
                          None if missing is None else self.stream.ok(missing))
            at, high, previous = max(at, offset), max(high, offset), now

    def _delivered_before(self, segment: Segment, row: int) -> ev.Deliver | None:
        """Return the earlier delivery of the same position to this client."""
        offset = segment.offsets[row]
        for earlier in self.stream.by_client[segment.client.cid]:
            end = row if earlier is segment else len(earlier.offsets)
            if earlier.epoch == segment.epoch and offset in earlier.offsets[:end]:
                return self.stream.delivery(earlier, earlier.offsets.index(offset))
            if earlier is segment:
                break
        return None

    def _check_without_history(self, segment: Segment) -> None:
        """At most once, and each publisher's messages in their order."""
        numbers = self.stream.history.numbers
        self.found.looked_at["I3"] += len(segment.mids)
        if len(set(segment.mids)) < len(segment.mids):
            seen: dict[int, int] = {}
            for row, number in enumerate(segment.mids):
                if (first := seen.setdefault(number, row)) != row:
                    self._add("I3", f"{self.stream.mid(number)} was delivered again",
                              self.stream.delivery(segment, first),
                              self.stream.delivery(segment, row))
        latest: dict[str, int] = {}
        for row, number in enumerate(segment.mids):
            if number in self.stream.channel.unknown:
                continue  # it may have been applied late
            publisher = numbers.publisher(number)
            before = latest.get(publisher)
            if before is not None and number < segment.mids[before]:
                self._add("I6", f"{self.stream.mid(number)} was delivered after a later message "
                                "of its publisher",
                          self.stream.delivery(segment, before),
                          self.stream.delivery(segment, row))
            latest[publisher] = row
