"""The splitter gives each message of a RESP stream whole, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.servers.resp import Chunks, RespSplitter

texts = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=5)
lines = st.builds(
    lambda kind, text: kind + text.encode() + b"\r\n",
    st.sampled_from([b"+", b"-", b":", b",", b"(", b"#"]), texts,
)
bulks = st.builds(
    lambda kind, data: b"%c%d\r\n%s\r\n" % (kind, len(data), data),
    st.sampled_from([b"$", b"=", b"!"]), st.binary(max_size=12),
)
nulls = st.sampled_from([b"_\r\n", b"$-1\r\n", b"*-1\r\n"])


def arrays(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda kind, many: kind + b"%d\r\n" % len(many) + b"".join(many),
        st.sampled_from([b"*", b"~", b">"]), st.lists(values, max_size=4),
    )


def maps(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    pairs = st.lists(st.tuples(values, values), max_size=2)
    return pairs.map(lambda many: b"%%%d\r\n" % len(many) + b"".join(k + v for k, v in many))


def attributed(values: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(lambda key, value, of: b"|1\r\n" + key + value + of, bulks, values, values)


messages = st.recursive(
    lines | bulks | nulls,
    lambda values: arrays(values) | maps(values) | attributed(values), max_leaves=10,
)


@given(st.lists(messages, max_size=6), st.data())
def test_messages_come_out_as_they_went_in_however_cut(many: list[bytes], data) -> None:
    stream, splitter, seen = b"".join(many), RespSplitter(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        seen += splitter.feed(stream[:size])
        stream = stream[size:]
    assert seen == many


def test_what_is_not_resp_is_refused() -> None:
    with pytest.raises(ValueError, match="not RESP"):
        RespSplitter().feed(b"HTTP/1.1 200 OK\r\n")


def test_chunks_are_what_was_read() -> None:
    assert Chunks().feed(b"any") == [b"any"]
