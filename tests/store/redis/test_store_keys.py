"""Keys: one slot for each channel, no two things under one name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from wsmesh.store.redis.keys import Keyspace, member_of, quarantine_of, split_member

SPACE = Keyspace("wsmesh", 128)
NAMES = st.text(st.sampled_from("ab:{}#1 é"), min_size=1, max_size=8)


def all_keys(channel: str, key: str, owner: str) -> list[bytes]:
    keys = SPACE.of(channel)
    return [
        keys.meta, keys.stream, keys.shard, keys.entries, keys.until, SPACE.outcome(keys, key),
        SPACE.members(keys.partition, owner), SPACE.canary(keys.partition, owner),
    ]


@given(NAMES, NAMES, NAMES)
def test_everything_of_a_channel_is_in_one_slot(channel: str, key: str, owner: str) -> None:
    keys = all_keys(channel, key, owner)
    slots = {key_slot(each) for each in [*keys, *map(quarantine_of, keys)]}
    assert len(slots) == 1


@given(st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=2, unique=True))
def test_outcomes_of_different_pairs_are_different_keys(pairs: list[tuple[str, str]]) -> None:
    first, second = (SPACE.outcome(SPACE.of(channel), key) for channel, key in pairs)
    assert first != second


@given(NAMES, NAMES)
def test_no_kind_of_key_is_another_kind(channel: str, other: str) -> None:
    keys = SPACE.of(channel)
    kinds = [keys.meta, keys.stream, keys.shard, keys.entries, keys.until]
    assert len({*kinds, *map(quarantine_of, kinds)}) == 2 * len(kinds)
    if channel != other:
        assert not set(kinds) & {SPACE.of(other).meta, SPACE.of(other).stream}


def test_partitions_do_not_depend_on_the_process() -> None:
    assert SPACE.of("news").meta == b"wsmesh:{80}:meta:news"
    assert SPACE.of("chat:ä").partition == Keyspace("other", 128).of("chat:ä").partition


@given(NAMES, NAMES)
def test_a_member_is_a_channel_and_a_client(channel: str, client: str) -> None:
    assert split_member(member_of(channel, client)) == (channel, client)


@pytest.mark.parametrize("member", [b"", b"5", b"x:ab", b"9:ab", b"-1:ab"])
def test_what_is_no_member_is_refused(member: bytes) -> None:
    with pytest.raises(ValueError, match="member"):
        split_member(member)
