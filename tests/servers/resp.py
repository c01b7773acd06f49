"""Cutting a RESP2 or RESP3 stream into whole messages, so that a proxy can lose one of them."""

from __future__ import annotations

SINGLE = b"+-:_#,("
"""Types that end with their line."""
BULK = b"$=!"
"""Types whose line says how many bytes follow."""
COUNTED = {b"*"[0]: 1, b"~"[0]: 1, b">"[0]: 1, b"%"[0]: 2, b"|"[0]: 2}
"""Types whose line says how many values follow (a map: pairs)."""


class RespSplitter:
    """Gives every top-level value of a stream as its bytes. Attributes belong to their value."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the messages that are complete with them.

        :raises ValueError: this is not RESP.
        """
        self._held += data
        messages, begin = [], 0
        while (end := self._end_of(begin)) is not None:
            messages.append(bytes(self._held[begin:end]))
            begin = end
        del self._held[:begin]
        return messages

    def _end_of(self, at: int) -> int | None:
        wanted = 1
        while wanted:
            line_end = self._held.find(b"\r\n", at)
            if line_end < 0:
                return None
            kind, line = self._held[at], bytes(self._held[at + 1 : line_end])
            at, wanted = line_end + 2, wanted - 1
            if kind in BULK:
                at += int(line) + 2 if int(line) >= 0 else 0
                if at > len(self._held):
                    return None
            elif kind in COUNTED:
                wanted += max(0, int(line)) * COUNTED[kind]
                wanted += kind == b"|"[0]  # and the value that has the attributes
            elif kind not in SINGLE:
                raise ValueError(f"not RESP: {bytes(self._held[at : at + 40])!r}")
        return at


class Chunks:
    """Takes every read as one message, for a stream that the proxy need not understand."""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bytes as they are."""
        return [data]
