"""What processes say reaches the log in lines, marked with who said it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from wsmesh.supervisor.lines import LONGEST, Cutter, prefixed, readable, tagged


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(0, 400)))
def test_however_the_bytes_arrive_the_lines_are_the_same(parts, cuts):
    said = b"\n".join(parts)
    cutter, lines, last = Cutter(), [], 0
    for cut in sorted(cuts):
        lines += cutter.feed(said[last:cut])
        last = max(last, min(cut, len(said)))
    lines += cutter.feed(said[last:])
    lines += cutter.finish()

    assert b"\n".join(lines) == said.removesuffix(b"\n")


def test_a_line_without_end_is_cut_and_not_kept():
    cutter = Cutter()

    (whole,) = cutter.feed(b"x" * (LONGEST + 5))
    assert len(whole) == LONGEST
    assert list(cutter.feed(b"y" * LONGEST)) == [b"x" * 5 + b"y" * (LONGEST - 5)]
    assert [len(line) for line in Cutter().feed(b"z" * (2 * LONGEST) + b"\n\n")] == [
        LONGEST, LONGEST, 0
    ]


def test_a_line_for_people_stands_behind_its_name():
    assert prefixed(b"hello", "node-1", 7) == b"node-1  | hello\n"


def test_a_json_line_gets_the_node():
    line = tagged(b'{"event":"node.started","n":1.50,"deep":{"a":[1]}}', "node-2")

    assert line == b'{"node":"node-2","event":"node.started","n":1.50,"deep":{"a":[1]}}\n'


def test_what_the_line_calls_node_becomes_what_it_is_about():
    line = json.loads(tagged(b'{"event":"cluster.changed","node":"other"}', "node-2"))

    assert line == {"node": "node-2", "event": "cluster.changed", "about": "other"}


@given(st.binary(max_size=60).filter(lambda data: not data.startswith(b"{")))
def test_anything_else_becomes_the_text_of_a_line(data):
    line = tagged(data, "node-1")

    assert line.endswith(b"\n")
    assert json.loads(line) == {
        "node": "node-1", "event": "process.said", "text": data.decode(errors="replace"),
    }


@given(st.binary(max_size=60).map(lambda data: b"{" + data))
def test_every_line_is_json_whatever_was_said(data):
    line = tagged(data, "node-1")

    assert line.endswith(b"\n")
    assert json.loads(line)["node"] == "node-1"


def test_a_reason_does_not_repeat_the_name_of_the_program():
    assert readable(b"wsmesh: app.module: no such module \n") == "app.module: no such module"
