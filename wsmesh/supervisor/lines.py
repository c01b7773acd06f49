"""What processes say on standard error: cut into lines, each marked with who said it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from attrs import define, field

LONGEST = 64 * 1024
"""Bytes of a line; what is longer goes on in the next one."""

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.encode


@define
class Cutter:
    """Cuts a stream of bytes into lines."""

    _rest: bytes = field(default=b"", init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete now, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from self._bounded(line)
        while len(self._rest) >= LONGEST:
            yield self._rest[:LONGEST]
            self._rest = self._rest[LONGEST:]

    def finish(self) -> Iterator[bytes]:
        """Yield what was said after the last end of a line."""
        rest, self._rest = self._rest, b""
        if rest:
            yield rest

    def _bounded(self, line: bytes) -> Iterator[bytes]:
        for start in range(0, max(1, len(line)), LONGEST):
            yield line[start : start + LONGEST]


def prefixed(line: bytes, name: str, width: int) -> bytes:
    """Return a line for people, with its end, behind the name of who said it.

    :param width: characters of the longest name.
    """
    return f"{name:<{width}} | ".encode() + line + b"\n"


def tagged(line: bytes, name: str) -> bytes:
    """Return a JSON line, with its end, whose `node` is who said it.

    What the line itself calls `node` is another one, and becomes `about`. A line that is no JSON
    object, such as one of a traceback, becomes the `text` of one.
    """
    said: dict[str, Any]
    try:
        said = _decode(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        text = line.decode(errors="replace")
        return _encode({"node": name, "event": "process.said", "text": text}) + b"\n"
    if "node" in said:
        said["about"] = said.pop("node")
    return _encode({"node": name, **said}) + b"\n"


def readable(line: bytes) -> str:
    """Return a line as a reason to be shown, without the name of the program before it."""
    return line.decode(errors="replace").removeprefix("wsmesh: ").rstrip()
