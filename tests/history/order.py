"""Positions agree with time: I6 for messages, and of I7 that an epoch never returns."""

from __future__ import annotations

from itertools import pairwise

from attrs import frozen

from tests.history.events import Event
from tests.history.found import Found
from tests.history.stream import Stream

_LATE = 1 << 62


@frozen(slots=True)
class _Op:
    """Something that happened at a position between two times.

    :param began: -1: not known, as early as can be.
    """

    epoch: str
    offset: int
    began: int
    ended: int
    number: int


def check_order(stream: Stream, found: Found) -> None:
    """Check acknowledged messages against the times of their publishing; O(n log n)."""
    ops = _acknowledged(stream)
    by_epoch: dict[str, list[_Op]] = {}
    for op in ops:
        by_epoch.setdefault(op.epoch, []).append(op)
    for of_epoch in by_epoch.values():
        found.looked_at["I6"] += len(of_epoch)
        _check_real_time(stream, of_epoch, found)
        _check_publishers(stream, of_epoch, found)
    _check_epochs(stream, ops, found)


def _acknowledged(stream: Stream) -> list[_Op]:
    """Return what was acknowledged and has a place, from its reply or else from a delivery."""
    channel, words = stream.channel, stream.history.words
    ops = []
    for row, number in enumerate(channel.acked):
        epoch, offset = words[channel.acked_epoch[row]], channel.acked_offset[row]
        if offset == 0:
            epoch, offset = stream.where.get(number, ("", 0))
        invoked = stream.rows.get(number)
        if offset == 0 or invoked is None or stream.acks[number] != row:
            continue
        ops.append(_Op(
            epoch, offset, channel.invoked_at[invoked], channel.acked_at[row], number
        ))
    return ops


def _check_real_time(stream: Stream, ops: list[_Op], found: Found) -> None:
    """What was acknowledged before another was published stands before it."""
    ops.sort(key=lambda op: op.offset, reverse=True)
    earliest: _Op | None = None
    for op in ops:
        if earliest is not None and earliest.ended < op.began and earliest.offset > op.offset:
            found.add("I6", stream.name,
                      f"{stream.mid(earliest.number)} was acknowledged before "
                      f"{stream.mid(op.number)} was published, and stands after it",
                      stream.ok(earliest.number), stream.invoke(op.number), stream.ok(op.number))
        if earliest is None or op.ended < earliest.ended:
            earliest = op


def _check_publishers(stream: Stream, ops: list[_Op], found: Found) -> None:
    """A publisher's messages stand in its order, unless it had to try again."""
    unknown = stream.channel.unknown
    ordered = sorted(
        (op for op in ops if op.number not in unknown and op.number >= 0),
        key=lambda op: op.number,
    )
    numbers = stream.history.numbers
    for one, other in pairwise(ordered):
        if one.offset <= other.offset or one.ended < other.began:
            continue  # the second is the business of real time
        if numbers.publisher(one.number) == numbers.publisher(other.number):
            found.add("I6", stream.name,
                      f"{stream.mid(one.number)} stands after {stream.mid(other.number)}",
                      stream.ok(one.number), stream.ok(other.number))


def _check_epochs(stream: Stream, acked: list[_Op], found: Found) -> None:
    """No epoch has anything that happened entirely between two things of another epoch."""
    ops = acked + [
        _Op(segment.sub.epoch, 0, segment.asked_after, segment.sub.t, index)
        for index, segment in enumerate(stream.channel.segments)
        if segment.sub is not None and segment.is_positioned and segment.asked_after
    ]
    epochs = {op.epoch for op in ops}
    found.looked_at["I7"] += len(ops)
    if len(epochs) < 2:
        return
    first = {epoch: _Op(epoch, 0, 0, _LATE, 0) for epoch in epochs}
    latest = {epoch: _Op(epoch, 0, -1, 0, 0) for epoch in epochs}
    for op in ops:
        if op.ended < first[op.epoch].ended:
            first[op.epoch] = op
        if op.began > latest[op.epoch].began:
            latest[op.epoch] = op
    # From the latest beginning to the earliest, with the op that ended first among those that
    # began later: one for the best epoch and one for the best of the others.
    ops.sort(key=lambda op: op.began, reverse=True)
    best: list[_Op] = []
    index = 0
    for epoch in sorted(epochs, key=lambda epoch: first[epoch].ended, reverse=True):
        while index < len(ops) and ops[index].began > first[epoch].ended:
            best = _best_of_two_epochs(best, ops[index])
            index += 1
        for between in best:
            if between.epoch != epoch and between.ended < latest[epoch].began:
                found.add("I7", stream.name,
                          f"epoch {epoch} returned after {between.epoch} had replaced it",
                          _event(stream, first[epoch]), _event(stream, between),
                          _event(stream, latest[epoch]))
                break


def _best_of_two_epochs(best: list[_Op], op: _Op) -> list[_Op]:
    """Keep the two that ended first, of different epochs."""
    candidates = sorted([*best, op], key=lambda each: each.ended)
    first = candidates[0]
    others = [each for each in candidates[1:] if each.epoch != first.epoch]
    return [first, *others[:1]]


def _event(stream: Stream, op: _Op) -> Event | None:
    return stream.ok(op.number) if op.offset else stream.channel.segments[op.number].sub
