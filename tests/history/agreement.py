"""What was delivered was published, and stands where everybody else saw it: I1, I2, I11."""

from __future__ import annotations

from itertools import pairwise

from tests.history.columns import Segment
from tests.history.found import Found
from tests.history.limits import NANO, Limits
from tests.history.stream import Stream


def check_agreement(stream: Stream, limits: Limits, found: Found) -> None:
    """Fill `stream.places` and `stream.where`; report phantoms, and positions with two messages."""
    groups = _groups_of_equal_keys(stream, limits)
    stream.twins = {number: group for group in groups for number in group}
    for segment in stream.channel.segments:
        _check_phantoms(stream, segment, found)
    _place_acks(stream, found)
    for segment in stream.channel.segments:
        if segment.is_positioned:
            _place_deliveries(stream, segment, found)
    _check_one_place(stream, found)
    _check_stored(stream, found)
    for group in groups:
        _check_key(stream, group, found)


def _check_phantoms(stream: Stream, segment: Segment, found: Found) -> None:
    rows, sums = stream.rows, stream.channel.invoked_crc
    found.looked_at["I1"] += len(segment.mids)
    known = rows.keys() - stream.channel.failed if stream.channel.failed else rows.keys()
    if set(segment.mids) <= known and segment.crcs.tolist() == [
        sums[rows[number]] for number in segment.mids
    ]:
        return
    for row, number in enumerate(segment.mids):
        if number not in rows:
            found.add("I1", stream.name, f"{stream.mid(number)} was delivered, but never published",
                      stream.delivery(segment, row))
        elif number in stream.channel.failed and number not in stream.channel.unknown:
            found.add("I1", stream.name, f"{stream.mid(number)} was refused, and delivered",
                      stream.invoke(number), stream.delivery(segment, row))
        elif segment.crcs[row] != sums[rows[number]]:
            found.add("I1", stream.name, f"{stream.mid(number)} was delivered with another body",
                      stream.invoke(number), stream.delivery(segment, row))


def _place_acks(stream: Stream, found: Found) -> None:
    channel, words = stream.channel, stream.history.words
    for row, number in enumerate(channel.acked):
        offset = channel.acked_offset[row]
        first = stream.acks[number]
        if number not in stream.rows:
            found.add("I1", stream.name, f"{stream.mid(number)} was acknowledged, not published",
                      stream.ok_at(row))
        found.looked_at["I11"] += number in channel.keys and number in channel.unknown
        if row != first and _ack_differs(stream, first, row):
            found.add("I11", stream.name, "two acknowledgements of one message differ",
                      stream.ok_at(first), stream.ok_at(row))
        if offset == 0:
            continue
        found.looked_at["I2"] += 1
        epoch = words[channel.acked_epoch[row]]
        there = stream.places.setdefault(epoch, {}).setdefault(offset, number)
        stream.where[number] = (epoch, offset)
        if not stream.are_one(there, number):
            found.add("I2", stream.name, f"{epoch}/{offset} was acknowledged for two messages",
                      stream.claim(epoch, offset, there), stream.ok_at(row))


def _ack_differs(stream: Stream, one: int, other: int) -> bool:
    """Whether two acknowledgements of one message contradict each other.

    Another epoch does not: a failover may have lost the first one.
    """
    channel = stream.channel
    return channel.acked_epoch[one] == channel.acked_epoch[other] and (
        channel.acked_offset[one] != channel.acked_offset[other]
    )


def _place_deliveries(stream: Stream, segment: Segment, found: Found) -> None:
    epoch, mids = segment.epoch, segment.mids.tolist()
    places = stream.places.setdefault(epoch, {})
    found.looked_at["I2"] += len(mids)
    there = list(map(places.get, segment.offsets))
    if there == mids:
        return
    for row, (number, placed) in enumerate(zip(mids, there, strict=True)):
        offset = segment.offsets[row]
        if placed is None:
            placed = places.setdefault(offset, number)
        if not stream.are_one(placed, number):
            found.add("I2", stream.name, f"{epoch}/{offset} holds two messages",
                      stream.claim(epoch, offset, placed), stream.delivery(segment, row))


def _check_one_place(stream: Stream, found: Found) -> None:
    """A message stands at one position of an epoch."""
    for epoch, places in stream.places.items():
        if len(set(places.values())) < len(places):
            _report_second_places(stream, epoch, places, found)
        for offset, number in places.items():
            stream.where[number] = (epoch, offset)


def _report_second_places(
    stream: Stream, epoch: str, places: dict[int, int], found: Found
) -> None:
    first: dict[int, int] = {}
    for offset, number in sorted(places.items()):
        before = first.setdefault(number, offset)
        if before == offset:
            continue
        invariant = "I11" if number in stream.channel.keys else "I3"
        found.add(invariant, stream.name,
                  f"{stream.mid(number)} stands at {epoch}/{before} and at {epoch}/{offset}",
                  stream.claim(epoch, before, number), stream.claim(epoch, offset, number))


def _check_stored(stream: Stream, found: Found) -> None:
    """What history showed is what was published and delivered."""
    for number, stored in stream.channel.stored.items():
        found.looked_at["I2"] += 1
        there = stream.places.get(stored.epoch, {}).get(stored.offset)
        if number not in stream.rows:
            found.add("I1", stream.name, f"{stored.mid} is stored, but was never published", stored)
        elif there is not None and not stream.are_one(there, number):
            found.add("I2", stream.name, f"{stored.epoch}/{stored.offset} holds two messages",
                      stream.claim(stored.epoch, stored.offset, there), stored)


def _groups_of_equal_keys(stream: Stream, limits: Limits) -> list[list[int]]:
    """Return the messages that must be one publication, in the order of their publishing."""
    channel = stream.channel
    by_key: dict[str, list[int]] = {}
    for number, key in channel.keys.items():
        by_key.setdefault(key, []).append(number)
    groups = []
    for numbers in by_key.values():
        if len(numbers) == 1:
            continue
        numbers.sort(key=lambda number: channel.invoked_at[stream.rows[number]])
        group = numbers[:1]
        for number in numbers[1:]:
            age = channel.invoked_at[stream.rows[number]] - channel.invoked_at[
                stream.rows[group[0]]
            ]
            if age > limits.idempotency_window * NANO:
                groups.append(group)
                group = []
            group.append(number)
        groups.append(group)
    return [group for group in groups if len(group) > 1]


def _check_key(stream: Stream, group: list[int], found: Found) -> None:
    found.looked_at["I11"] += len(group)
    acked = [stream.acks[number] for number in group if number in stream.acks]
    for one, other in pairwise(acked):
        if _ack_differs(stream, one, other):
            found.add("I11", stream.name, "one key was acknowledged at two positions",
                      stream.ok_at(one), stream.ok_at(other))
    heard = [
        (epoch, offset, number)
        for number in group
        for epoch, offset in (stream.where.get(number, ("", 0)),)
        if offset and stream.heard(epoch, offset, number) is not None
    ]
    for before, after in pairwise(heard):
        if before[0] == after[0]:
            found.add("I11", stream.name, "of one key two messages were delivered",
                      stream.heard(*before), stream.heard(*after))
