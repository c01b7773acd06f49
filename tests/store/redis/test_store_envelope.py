"""Messages and entries are read as they were written, and garbage is told apart, never trusted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tests.contracts.store_cluster import ANN, BOB, message
from wsmesh.protocol.messages import Publication
from wsmesh.store.redis.envelope import (
    MOST_OFFSET,
    Kind,
    join_or_leave,
    open_client,
    open_entries,
    open_message,
    open_presence,
    pack_client,
    pack_publication,
    without_position,
)

HEADS = [b"", b"p ", b"n ", b"j ", b"l ", b"p e 1 ", b"p e", b"p  1 {}", b"c ", b"x "]


@given(st.sampled_from(HEADS), st.binary(max_size=40))
def test_no_bytes_make_it_raise(head: bytes, rest: bytes) -> None:
    kind, epoch, offset, what = open_message(head + rest)
    assert (what is None) == (kind in (Kind.UNKNOWN, Kind.GARBAGE))
    assert bool(epoch) == bool(offset)
    open_presence(head + rest)
    open_client(rest)


@given(
    st.binary(max_size=20).map(lambda data: Raw(b'"%s"' % data.hex().encode())),
    st.integers(1, MOST_OFFSET),
)
def test_a_publication_comes_back_with_the_position_of_its_message(data: Raw, offset: int) -> None:
    sent = Publication(data=data, info=ANN, tags={"a": "ä"}, time=5)
    packed = pack_publication(sent)
    kind, epoch, found, publication = open_message(b"p Ab1 %d " % offset + packed)
    assert (kind, epoch, found) == (Kind.PUBLICATION, "Ab1", offset)
    assert publication == Publication(sent.data, sent.info, offset, sent.tags, sent.time)
    assert sent.offset == 0
    entry = (b"%d-0" % offset, [b"p", packed])
    assert open_entries([entry]) == (publication,)


def test_the_publishers_offset_is_not_believed() -> None:
    forged = Publication(data=Raw(b"1"), offset=9)
    assert b"9" not in pack_publication(forged)
    assert forged.offset == 9
    _, _, _, found = open_message(without_position(forged))
    assert found == Publication(data=Raw(b"1"))
    _, _, _, found = open_message(b'n {"data":1,"offset":7}')
    assert found.offset == 0


@pytest.mark.parametrize(("joined", "kind"), [(True, Kind.JOIN), (False, Kind.LEAVE)])
def test_joins_and_leaves_come_back(joined: bool, kind: Kind) -> None:
    for info in (ANN, BOB):
        assert open_message(join_or_leave(info, joined)) == (kind, "", 0, info)


@pytest.mark.parametrize("message", [b"z 1", b"q {}", b"c 17"])
def test_kinds_of_a_later_release_are_unknown_not_garbage(message: bytes) -> None:
    assert open_message(message)[0] is Kind.UNKNOWN


def test_fields_of_a_later_release_are_ignored() -> None:
    kind, _, _, publication = open_message(b'p e 1 {"data":1,"color":"red"}')
    assert kind is Kind.PUBLICATION
    assert publication.data == Raw(b"1")


@pytest.mark.parametrize(
    "message",
    [
        b"", b"p", b"p e 1", b"p e 0 {}", b"p e -1 {}", b"p e 01 {}", b"p e x {}", b"p e_ 1 {}",
        b"p  1 {}", b"p e 99999999999999999 {}", b'p e 1 {"data":}', b"p e 1 []", b"p e 1 {}",
        b"n ", b"n 1", b"j 5", b"l {", b"1 2", b"pe 1 {}", b"\xff\xff", b"n " + b"[" * 9000,
        b'n {"data":' + b"[" * 9000 + b"}",
    ],
)
def test_garbage_is_garbage(message: bytes) -> None:
    assert open_message(message) == (Kind.GARBAGE, "", 0, None)


@pytest.mark.parametrize(
    "entry",
    [
        (b"1-1", [b"p", b'{"data":1}']),
        (b"0-0", [b"p", b'{"data":1}']),
        (b"1-0", [b"q", b'{"data":1}']),
        (b"1-0", [b"p", b'{"data":1}', b"x", b"y"]),
        (b"1-0", [b"p", b"{"]),
        (b"1-0", []),
    ],
)
def test_an_entry_that_no_node_wrote_is_refused(entry: tuple[bytes, list[bytes]]) -> None:
    with pytest.raises(ValueError, match="entry"):
        open_entries([(b"2-0", [b"p", pack_publication(message())]), entry])


def test_a_presence_entry_tells_the_client() -> None:
    assert open_presence(b"node/1\n0" + pack_client(ANN)) == ANN
    assert open_presence(b"\n1" + pack_client(BOB)) == BOB
    for garbage in (b"", b"node/1", b"node/1\n", b"node/1\n2{}", b"node/1\n1{", b"node/1\n15"):
        assert open_presence(garbage) is None
