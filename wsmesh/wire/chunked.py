"""A chunked request body (RFC 9112 section 7.1), strictly read and bounded.

Bare LF, whitespace around sizes and control characters in extensions are refused: they are what
request smuggling is made of. Extensions and trailers are dropped.
"""

from __future__ import annotations

import re

from wsmesh.config.sections import LimitsSection
from wsmesh.wire.request import BadRequest

SIZE_LINE = 256
"""Bytes of the line before a chunk, its extensions included."""

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")


class ChunkedBody:
    """Takes a chunked body from the front of a buffer, piece by piece."""

    __slots__ = ("_body", "_ends_data", "_left", "_limits", "_trailer")

    def __init__(self, limits: LimitsSection) -> None:
        self._limits = limits
        self._body = bytearray()
        self._left = 0
        self._ends_data = False
        """The CRLF after a chunk's data comes next."""
        self._trailer = -1
        """Bytes of trailer lines so far; -1 before the last chunk."""

    def take(self, buffer: bytearray) -> bytes | None:
        """Remove what belongs to the body from `buffer`; return the body once it is complete.

        :raises BadRequest: the body is malformed or larger than `limits.http_body_size`.
        """
        while True:
            if self._left:
                self._take_data(buffer)
                if self._left:
                    return None
            if self._ends_data:
                if not b"\r\n".startswith(buffer[:2]):
                    raise BadRequest(400, "malformed chunk")
                if len(buffer) < 2:
                    return None
                del buffer[:2]
                self._ends_data = False
            line = self._take_line(buffer)
            if line is None:
                return None
            if self._trailer < 0:
                self._begin_chunk(line)
            elif not line:
                return bytes(self._body)
            elif not _TRAILER.fullmatch(line):
                raise BadRequest(400, "malformed trailer")

    def _take_data(self, buffer: bytearray) -> None:
        piece = buffer[: self._left]
        del buffer[: len(piece)]
        self._body += piece
        self._left -= len(piece)
        self._ends_data = not self._left

    def _take_line(self, buffer: bytearray) -> bytes | None:
        is_trailer = self._trailer >= 0
        limit = self._limits.http_head_size - self._trailer if is_trailer else SIZE_LINE
        newline = buffer.find(b"\n", 0, limit + 2)
        if newline < 0:
            if len(buffer) >= limit + 2:
                if is_trailer:
                    raise BadRequest(431, "trailer too large", "http_head_size")
                raise BadRequest(400, "malformed chunk")
            return None
        line = bytes(buffer[: newline + 1])
        del buffer[: newline + 1]
        if not line.endswith(b"\r\n"):
            raise BadRequest(400, "line ends in a bare LF")
        if is_trailer:
            self._trailer += len(line)
        return line[:-2]

    def _begin_chunk(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadRequest(400, "malformed chunk")
        self._left = int(match[1], 16)
        if len(self._body) + self._left > self._limits.http_body_size:
            raise BadRequest(413, "request body too large", "http_body_size")
        if not self._left:
            self._trailer = 0
