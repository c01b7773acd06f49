"""Nothing that was acknowledged is lost, or a fault explains it and everybody was told: I5, I9."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from attrs import define, field, frozen

from tests.history import events as ev
from tests.history.columns import Segment
from tests.history.found import Found, LostMessage
from tests.history.limits import NANO, Limits
from tests.history.stream import Stream

SAFE = frozenset({"replicated", "fsync"})
"""Durabilities that survive any single fault."""


def check_loss(stream: Stream, limits: Limits, found: Found) -> None:
    """Compare what was acknowledged and where the stream ends with what everybody got."""
    final = max(stream.channel.finals, key=lambda event: event.t, default=None)
    ends = _ends(stream)
    if final is None:
        if any(segment.is_positioned and segment.mids for segment in stream.channel.segments):
            found.gaps.append(f"no final of {stream.name}")
    else:
        _check_final(stream, final, ends, limits, found)
    _Accounts(stream, final, ends, limits, found).check()


@frozen
class _Reach:
    """How far a segment came: it begins after `start`, and all up to `last` was delivered."""

    segment: Segment
    start: int
    last: int


def _ends(stream: Stream) -> dict[str, list[_Reach]]:
    """Return how far each client's segments came, segments with positions only."""
    reaches: dict[str, list[_Reach]] = {}
    for cid, segments in stream.by_client.items():
        position, epoch = 0, ""
        for segment in segments:
            sub = segment.sub
            if sub is None or not segment.is_positioned:
                continue
            start = sub.offset
            if sub.recovered:
                start = position if epoch == sub.epoch else max(sub.since, 0)
            position, epoch = max(segment.offsets, default=start), sub.epoch
            position = max(position, start)
            reaches.setdefault(cid, []).append(_Reach(segment, start, position))
    return reaches


def _is_live(stream: Stream, segment: Segment, at: int, limits: Limits) -> bool:
    """Whether a client's last segment is in use at a time."""
    client = segment.client
    if client.process in limits.killed or not stream.history.processes[client.process].is_complete:
        return False
    if segment.end is not None and segment.end.t <= at:
        return False
    closed = max((event.t for event in client.closes if event.t <= at), default=-1)
    opened = max((conn.event.t for conn in client.conns if conn.event.t <= at), default=0)
    return closed < 0 or opened > closed


def _check_final(
    stream: Stream, final: ev.Final, ends: dict[str, list[_Reach]], limits: Limits, found: Found
) -> None:
    found.looked_at["I5"] += 1
    for reaches in ends.values():
        reach = reaches[-1]
        segment = reach.segment
        if not _is_live(stream, segment, final.t, limits):
            continue
        found.looked_at["I5"] += 1
        cid = segment.client.cid
        count = len(segment.offsets)
        last = stream.delivery(segment, count - 1) if count else segment.sub
        if segment.epoch != final.epoch:
            found.add("I5", stream.name,
                      f"{cid} is left in epoch {segment.epoch} of {final.epoch}",
                      segment.sub, final)
        elif reach.last < final.top:
            missing = stream.places.get(final.epoch, {}).get(reach.last + 1)
            found.add("I5", stream.name,
                      f"{cid} never got {final.epoch}/{reach.last + 1} to {final.top}",
                      last, None if missing is None else stream.ok(missing), final)
        elif reach.last > final.top:
            found.add("I5", stream.name,
                      f"{cid} got {final.epoch}/{reach.last}, and the stream ends at {final.top}",
                      last, final)
    for offset, number in stream.places.get(final.epoch, {}).items():
        if offset > final.top and number in stream.acks:
            found.add("I5", stream.name,
                      f"{stream.mid(number)} was acknowledged as {final.epoch}/{offset}, and the "
                      f"stream ends at {final.top}", stream.ok(number), final)


@define(eq=False)
class _Accounts:
    """Acknowledged less delivered."""

    stream: Stream
    final: ev.Final | None
    ends: dict[str, list[_Reach]]
    limits: Limits
    found: Found
    delivered: set[int] = field(init=False, factory=set)
    counters: dict[tuple[str, str], list[int]] = field(init=False, factory=dict)

    def check(self) -> None:
        """Report acknowledged messages that nobody got; remember where in their row they stood."""
        for segment in self.stream.channel.segments:
            self.delivered.update(segment.mids)
        self.found.looked_at["I9"] += len(self.stream.acks)
        lost = [
            number for number in self.stream.acks
            if number not in self.delivered and number in self.stream.rows
            and self.delivered.isdisjoint(self.stream.twins.get(number, ()))
        ]
        if lost:
            self._order_delivered()
        for number in lost:
            self._account(number)

    def _account(self, number: int) -> None:
        ok = self.stream.ok(number)
        assert ok is not None
        if ok.offset == 0:
            self._account_without_position(number, ok)
            return
        told: list[ev.Sub] = []
        silent: list[ev.Sub] = []
        for reach, after in self._concerned(ok):
            if after is None or after.sub is None:
                continue  # it left, or its return is the business of I5 and I10
            (silent if after.sub.recovered else told).append(after.sub)
        if not told and not silent:
            return
        place = self._place(number, ok.epoch)
        stored = self.stream.channel.stored
        is_kept = any(each in stored for each in self.stream.twins.get(number, [number])) or all(
            sub.epoch == ok.epoch and sub.offset >= ok.offset for sub in told
        )
        in_fault = self._fault_at(ok.t)
        safe = self.limits.is_single_fault and ok.durability in SAFE
        why = ""
        if silent:
            why = "a subscriber recovered without it"
        elif not is_kept and in_fault is None:
            why = "there was no fault at that time"
        elif not is_kept and safe:
            why = f"it was acknowledged as {ok.durability}"
        self.found.lost.append(LostMessage(
            mid=ok.mid, ch=ok.ch, epoch=ok.epoch, offset=ok.offset, place=place,
            is_excused=not why,
        ))
        if why:
            self.found.add("I9", ok.ch, f"{ok.mid} was acknowledged, nobody got it, and {why}",
                           self.stream.invoke(number), ok, *(silent or told)[:1], in_fault)

    def _concerned(self, ok: ev.PubOk) -> Iterator[tuple[_Reach, Segment | None]]:
        """Yield the clients that were on the way to a position, with their next segment."""
        for reaches in self.ends.values():
            for index, reach in enumerate(reaches):
                following = reaches[index + 1] if index + 1 < len(reaches) else None
                if reach.segment.epoch != ok.epoch or not reach.start < ok.offset:
                    continue
                if reach.last >= ok.offset:
                    break  # it went past the position: another message, or a gap, was reported
                if following is not None and following.segment.epoch == ok.epoch and (
                    following.start < ok.offset
                ):
                    continue
                yield reach, None if following is None else following.segment
                break

    def _account_without_position(self, number: int, ok: ev.PubOk) -> None:
        """Somebody that heard the channel without a gap from before it was published to the end
        should have got it."""
        invoke = self.stream.invoke(number)
        assert invoke is not None
        if self.final is None:
            return
        for reaches in self.ends.values():
            last = reaches[-1].segment
            if not _is_live(self.stream, last, self.final.t, self.limits):
                continue
            unbroken = None
            for reach in reversed(reaches):
                unbroken = reach.segment.sub
                if unbroken is None or not unbroken.recovered:
                    break
            if unbroken is not None and unbroken.t < invoke.t and ok.t < self.final.t:
                self.found.lost.append(LostMessage(
                    mid=ok.mid, ch=ok.ch, epoch="", offset=0, is_excused=False,
                    place=self._place(number, last.epoch),
                ))
                self.found.add("I9", ok.ch, f"{ok.mid} was acknowledged, and {last.client.cid} "
                               "never got it", invoke, ok, unbroken, self.final)
                return

    def _fault_at(self, t: int) -> ev.Nemesis | None:
        """Return the fault during which (with a margin) something happened."""
        margin = int(self.limits.loss_margin * NANO)
        for start, heal in self.stream.history.fault_windows():
            if start.t - margin <= t and (heal is None or t <= heal.t + margin):
                return start
        return None

    def _order_delivered(self) -> None:
        """Sort the counters of what was delivered, for each publisher and epoch."""
        numbers = self.stream.history.numbers
        for number in self.delivered:
            epoch, _ = self.stream.where.get(number, ("", 0))
            self.counters.setdefault((numbers.publisher(number), epoch), []).append(number)
        for counters in self.counters.values():
            counters.sort()

    def _place(self, number: int, epoch: str) -> str:
        """Say where among its publisher's delivered messages of the epoch a message stood."""
        publisher = self.stream.history.numbers.publisher(number)
        delivered = self.counters.get((publisher, epoch), [])
        if not delivered:
            return "all"
        if bisect_left(delivered, number) == 0:
            return "prefix"
        return "postfix" if bisect_right(delivered, number) == len(delivered) else "middle"
