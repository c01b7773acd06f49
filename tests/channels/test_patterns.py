"""Patterns of channel names: Centrifugo's globs, and never slow."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsmesh.channels import patterns
from wsmesh.channels.patterns import LONGEST, matcher
from wsmesh.errors import ReplyError

Tree = tuple[str, object]
"""A pattern as a tree: what kind of term, and what it holds."""


def written(terms: list[Tree]) -> str:
    """The text of a pattern."""
    return "".join(_written(kind, held) for kind, held in terms)


def _written(kind: str, held: object) -> str:
    match kind, held:
        case "char", str(char):
            return "\\" + char if char in "*?[]{},\\!-" else char
        case "either", list(branches):
            return "{" + ",".join(map(written, branches)) + "}"
        case "list", (str(chars), bool(negated)):
            return "[" + "!" * negated + "".join("\\" + char for char in chars) + "]"
        case "range", (str(low), str(high), bool(negated)):
            return "[" + "!" * negated + f"{low}-{high}]"
    return kind


def ends(terms: list[Tree], name: str, at: int) -> Iterator[int]:
    """Where in `name` the pattern may end when it begins at `at`: naive, by trying everything."""
    if not terms:
        yield at
        return
    (kind, held), rest = terms[0], terms[1:]
    for reached in set(_ends(kind, held, name, at)):
        yield from ends(rest, name, reached)


def _ends(kind: str, held: object, name: str, at: int) -> Iterator[int]:
    match kind, held:
        case ("*" | "**"), _:
            yield from range(at, len(name) + 1)
        case "either", list(branches):
            for branch in branches:
                yield from ends(branch, name, at)
        case _ if at < len(name) and _accepts(kind, held, name[at]):
            yield at + 1


def _accepts(kind: str, held: object, char: str) -> bool:
    match kind, held:
        case "char", _:
            return char == held
        case "list", (str(chars), negated):
            return (char in chars) is not negated
        case "range", (str(low), str(high), negated):
            return (low <= char <= high) is not negated
    return True


letters = st.sampled_from("abc:,*?[]{}\\-!")
listed = st.text(st.sampled_from("abc:,*?[]{}!"), min_size=1, max_size=3)
simple: st.SearchStrategy[Tree] = st.one_of(
    st.tuples(st.just("char"), letters),
    st.sampled_from(["*", "**", "?"]).map(lambda kind: (kind, None)),
    st.tuples(st.just("list"), st.tuples(listed, st.booleans())),
    st.tuples(st.just("range"), st.tuples(st.just("a"), st.sampled_from("abc"), st.booleans())),
)
terms = st.recursive(
    st.lists(simple, max_size=4),
    lambda inner: st.lists(
        simple | st.tuples(st.just("either"), st.lists(inner, min_size=1, max_size=3)), max_size=4
    ),
    max_leaves=6,
)


@given(terms, st.lists(st.text(letters, max_size=6), max_size=5))
def test_a_pattern_matches_what_trying_everything_matches(
    pattern: list[Tree], names: list[str]
) -> None:
    matches = matcher(written(pattern))
    for name in names:
        assert matches(name) == (len(name) in set(ends(pattern, name, 0))), written(pattern)


@given(st.text("ab*?[]{},!-\\", max_size=12), st.text("ab", max_size=6))
def test_any_text_is_a_pattern_or_bad_request(pattern: str, name: str) -> None:
    try:
        assert matcher(pattern)(name) in (True, False)
    except ReplyError as error:
        assert error.code == 107
        assert error.message.startswith("bad request: pattern: expected ")


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("news", ["news"], ["", "new", "newsx", "xnews"]),
        ("chat:*", ["chat:", "chat:a", "chat:a:b"], ["chat", "xchat:a"]),
        ("chat:**", ["chat:", "chat:a:b"], ["chat"]),
        ("*:index", ["a:index", ":index", "a:b:index"], ["index", "a:indexes"]),
        ("a?c", ["abc", "a:c"], ["ac", "abbc"]),
        ("[ab]x", ["ax", "bx"], ["cx", "x", "[ab]x"]),
        ("[!ab]x", ["cx", "!x"], ["ax", "x"]),
        ("[a-c]", ["a", "b", "c"], ["d", "-", ""]),
        ("[!a-c]", ["d", "-"], ["a", ""]),
        ("[-a]", ["-", "a"], ["b"]),
        ("{news,chat:*}", ["news", "chat:1"], ["chat", "news,chat:1"]),
        ("{a,{b,c}d}e", ["ae", "bde", "cde"], ["de", "abde"]),
        ("x{,y}", ["x", "xy"], ["y"]),
        ("a,b}", ["a,b}"], ["a", "a,b"]),
        (r"\*\{\\", ["*{\\"], ["a{\\", "*{"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("", [""], ["a"]),
    ],
)
def test_its_language_is_centrifugos(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    matches = matcher(pattern)

    assert [name for name in matching + others if matches(name)] == matching


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("{a", "expected } before its end"),
        ("{a,{b}", "expected } before its end"),
        ("[", "expected ] before its end"),
        ("[!", "expected ] before its end"),
        ("[a", "expected ] before its end"),
        ("[a-", "expected ] before its end"),
        ("[]", "expected characters between [ and ]"),
        ("[!]", "expected characters between [ and ]"),
        ("[b-a]", "expected a range upwards, found b-a"),
        ("[a-bc]", "expected ] after the range a-b"),
        ("a\\", "expected a character after \\ before its end"),
        ("[\\", "expected a character after \\ before its end"),
        ("a" * (LONGEST + 1), "expected at most 1024 characters, found 1025"),
    ],
)
def test_what_is_malformed_is_told(pattern: str, reason: str) -> None:
    with pytest.raises(ReplyError) as caught:
        matcher(pattern)

    assert (caught.value.code, caught.value.message) == (107, f"bad request: pattern: {reason}")


def test_the_longest_pattern_passes() -> None:
    assert matcher("a" * LONGEST)("a" * LONGEST)
    half = LONGEST // 2 - 1
    assert matcher("{" * half + "a" + "}" * half)("a")


def test_no_pattern_needs_more_than_linear_time() -> None:
    def seconds(size: int) -> float:
        matches = matcher("*a" * 100 + "b")
        began = time.process_time()
        assert not matches("a" * size)
        return time.process_time() - began

    small, large = min(seconds(2_000) for _ in range(3)), min(seconds(20_000) for _ in range(3))
    assert large < 40 * small


def test_a_machine_that_forgets_still_decides_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "REMEMBERED", 3)
    matches = matcher("*[0-4]{x,y}*")

    assert [name for n in range(40) if matches(name := f"{n}x{n}")] == [
        f"{n}x{n}" for n in range(40) if n % 10 < 5
    ]
