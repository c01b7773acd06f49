"""Patterns of channel names, as the server API's `channels` takes them: Centrifugo's globs. Pure.

Their language is gobwas/glob's, without separators, as Centrifugo compiles it:

* `*` and `**` match any characters, also none, and also `:`;
* `?` matches one character;
* `[abc]`, `[a-z]`, `[!abc]`, `[!a-z]` match one character of, or not of, a list or a range;
* `{news,chat:*}` matches one of several patterns, which may hold any of these again;
* `\\` takes the special meaning from the next character.

A pattern becomes a machine whose states are sets of positions in it, made when a name first needs
them. A name costs a look-up for each of its characters and at most one step over the pattern, so
no pattern and no name can make it slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from attrs import Factory, define, frozen

from wsmesh.protocol import codes

LONGEST = 1024
"""Characters of a pattern."""

REMEMBERED = 4096
"""Moves of a machine that are remembered; then it begins to learn again."""


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether a name matches the whole of `pattern`.

    :raises ReplyError: 107, the pattern is malformed or too long.
    """
    return _Machine(_Compiler(pattern).compile()).matches


@frozen
class _Test:
    """Which character leads on; lists and ranges are both given by `chars`, `low` and `high`."""

    chars: frozenset[str] = frozenset()
    low: str = ""
    high: str = ""
    is_negated: bool = False

    def accepts(self, char: str) -> bool:
        found = self.low <= char <= self.high if self.low else char in self.chars
        return found is not self.is_negated


_ANY = _Test(is_negated=True)


@define(eq=False)
class _Position:
    """A place between two characters of the pattern.

    :ivar free: positions that are reached from here without a character.
    :ivar test: what the next character must be to reach `target`.
    """

    free: list[_Position] = Factory(list)
    test: _Test | None = None
    target: _Position | None = None


class _Compiler:
    """Reads a pattern from left to right; `_at` is the position reached so far."""

    def __init__(self, pattern: str) -> None:
        self._rest = list(reversed(pattern))
        self._start = self._at = _Position()
        self._groups: list[tuple[_Position, _Position]] = []
        """Beginning and end of each `{` that is still open."""
        if len(pattern) > LONGEST:
            _refuse(f"expected at most {LONGEST} characters, found {len(pattern)}")

    def compile(self) -> tuple[_Position, _Position]:
        """Return the first and the last position."""
        while self._rest:
            self._take(self._rest.pop())
        if self._groups:
            _refuse("expected } before its end")
        return self._start, self._at

    def _take(self, char: str) -> None:
        match char:
            case "*":
                self._repeat_any()
            case "?":
                self._step(_ANY)
            case "[":
                self._step(self._characters())
            case "{":
                self._groups.append((self._at, _Position()))
                self._branch()
            case "," if self._groups:
                self._at.free.append(self._groups[-1][1])
                self._branch()
            case "}" if self._groups:
                _, end = self._groups.pop()
                self._at.free.append(end)
                self._at = end
            case _:
                self._step(_Test(frozenset(self._literal(char))))

    def _step(self, test: _Test) -> None:
        self._at.test, self._at.target = test, _Position()
        self._at = self._at.target

    def _repeat_any(self) -> None:
        loop, after = _Position(), _Position()
        self._at.free.append(loop)
        loop.test, loop.target = _ANY, loop
        loop.free.append(after)
        self._at = after

    def _branch(self) -> None:
        branch = _Position()
        self._groups[-1][0].free.append(branch)
        self._at = branch

    def _literal(self, char: str) -> str:
        return self._pop("a character after \\") if char == "\\" else char

    def _characters(self) -> _Test:
        """Read what follows a `[`: one range, or a list; either may be negated."""
        first = self._pop("]")
        is_negated = first == "!"
        if is_negated:
            first = self._pop("]")
        if self._rest and self._rest[-1] == "-":
            self._rest.pop()
            last = self._pop("]")
            if last < first:
                _refuse(f"expected a range upwards, found {first}-{last}")
            if self._pop("]") != "]":
                _refuse(f"expected ] after the range {first}-{last}")
            return _Test(low=first, high=last, is_negated=is_negated)
        chars = set()
        while first != "]":
            chars.add(self._literal(first))
            first = self._pop("]")
        if not chars:
            _refuse("expected characters between [ and ]")
        return _Test(frozenset(chars), is_negated=is_negated)

    def _pop(self, expected: str) -> str:
        if not self._rest:
            _refuse(f"expected {expected} before its end")
        return self._rest.pop()


def _refuse(reason: str) -> NoReturn:
    raise codes.bad_request(f"pattern: {reason}")


@define(eq=False)
class _State:
    """The positions that a name may have reached.

    :ivar moves: the states that characters lead to, as far as they are known.
    """

    positions: frozenset[_Position]
    is_end: bool
    moves: dict[str, _State] = Factory(dict)


class _Machine:
    """Decides on names."""

    def __init__(self, ends: tuple[_Position, _Position]) -> None:
        self._first, self._last = ends
        self._states: dict[frozenset[_Position], _State] = {}
        self._known = 0
        self._start = self._state([self._first])

    def matches(self, name: str) -> bool:
        state = self._start
        for char in name:
            following = state.moves.get(char)
            if following is None:
                following = self._learn(state, char)
            if not following.positions:
                return False
            state = following
        return state.is_end

    def _learn(self, state: _State, char: str) -> _State:
        if self._known >= REMEMBERED:
            self._states, self._known = {}, 0
            self._start = self._state([self._first])
        self._known += 1
        reached = [
            position.target for position in state.positions
            if position.target is not None and position.test is not None
            and position.test.accepts(char)
        ]
        state.moves[char] = following = self._state(reached)
        return following

    def _state(self, reached: list[_Position]) -> _State:
        """Return the state of these positions and of those reached from them for nothing."""
        found = set(reached)
        while reached:
            new = [each for each in reached.pop().free if each not in found]
            found.update(new)
            reached += new
        positions = frozenset(found)
        state = self._states.get(positions)
        if state is None:
            state = self._states[positions] = _State(positions, self._last in positions)
        return state
