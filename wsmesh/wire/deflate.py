"""permessage-deflate (RFC 7692): what is agreed, bounded inflation, deflation.

Never with context takeover: a message is compressed once for all its receivers, and between
messages no connection holds a window. Since receivers share the compressed bytes, they share the
window's size too.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from attrs import frozen

from wsmesh.config.sections import CompressionSection
from wsmesh.errors import ProtocolViolation
from wsmesh.wire.extension import Offer

WINDOW_BITS = 12
"""log2 of the window of everything we send: 4 KiB, no worse than 32 KiB for messages up to 64 KiB
of JSON, cheaper to set up for each message, and the most that some clients let us use."""

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"

MAX_STREAMS = 16
"""Deflate streams one message may consist of (RFC 7692 section 7.2.3.4 allows more than one);
each costs a decompressor, whatever its size."""

_LARGEST = 15
_BITS = {str(bits): bits for bits in range(9, _LARGEST + 1)}
"""Window sizes that zlib has for raw deflate: 8 is missing there."""


@frozen
class DeflateParameters:
    """What was agreed; context takeover is off in both directions.

    :ivar server_window_bits: log2 of the largest window of what we send.
    :ivar client_window_bits: log2 of the largest window of what the client sends.
    :ivar header: Sec-WebSocket-Extensions of the answer.
    """

    server_window_bits: int = _LARGEST
    client_window_bits: int = _LARGEST
    header: str = f"{NAME}; server_no_context_takeover; client_no_context_takeover"


def negotiate(offers: Sequence[Offer], section: CompressionSection) -> DeflateParameters | None:
    """Return the first offer that can be kept, None: no compression (RFC 7692 section 7.1).

    An offer is declined if a parameter is unknown, repeated or has a value out of place, or if
    `server_max_window_bits` is less than `WINDOW_BITS`.
    """
    if not section.enabled:
        return None
    for offer in offers:
        if offer.name == NAME:
            parameters = _agree(dict(offer.parameters), len(offer.parameters))
            if parameters is not None:
                return parameters
    return None


def _agree(asked: dict[str, str | None], count: int) -> DeflateParameters | None:
    if len(asked) != count:
        return None
    answer = DeflateParameters()
    server, client, header = _LARGEST, _LARGEST, answer.header
    for name, value in asked.items():
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                return None
        elif name == "server_max_window_bits":
            if value not in _BITS or _BITS[value] < WINDOW_BITS:
                return None
            server = _BITS[value]
            header += f"; {name}={value}"
        elif name == "client_max_window_bits":
            if value is not None:
                if value not in _BITS:
                    return None
                client = _BITS[value]
                header += f"; {name}={value}"
        else:
            return None
    return DeflateParameters(server, client, header)


class Inflater:
    """Inflates what one client sends, message by message."""

    __slots__ = ("_stream", "_streams", "_window")

    def __init__(self, parameters: DeflateParameters) -> None:
        self._window = -parameters.client_window_bits
        self._stream: zlib._Decompress | None = None
        self._streams = 0

    def inflate(self, payload: bytes, room: int) -> bytes:
        """Return what a frame's payload contains, at most `room` bytes.

        Never allocates much more than `room`.

        :raises ProtocolViolation: 1009 it is more, 1007 it is not deflate.
        """
        pieces: list[bytes] = []
        while True:
            if self._stream is None:
                self._begin()
            assert self._stream is not None
            try:
                piece = self._stream.decompress(payload, room + 1)
            except zlib.error:
                raise ProtocolViolation(1007, "invalid compressed data") from None
            if len(piece) > room:
                raise ProtocolViolation(1009, "message too big", limit="inflate_limit")
            room -= len(piece)
            pieces.append(piece)
            if not self._stream.eof:
                return piece if len(pieces) == 1 else b"".join(pieces)
            payload = self._stream.unused_data
            self._stream = None

    def finish(self, room: int) -> bytes:
        """Return what is still to come when a message's last frame has been inflated.

        :raises ProtocolViolation: as `inflate`.
        """
        last = self.inflate(TAIL, room)
        self._stream = None
        self._streams = 0
        return last

    def _begin(self) -> None:
        self._streams += 1
        if self._streams > MAX_STREAMS:
            raise ProtocolViolation(1008, "too many deflate streams", limit="inflate_limit")
        self._stream = zlib.decompressobj(self._window)


class Deflater:
    """Deflates messages for every client that agreed to it.

    :param level: of zlib, 1 (fast) to 9 (small).
    """

    __slots__ = ("_level",)

    def __init__(self, level: int) -> None:
        self._level = level

    def deflate(self, payload: bytes) -> bytes:
        """Return the payload of a compressed frame (RFC 7692 section 7.2.1)."""
        stream = zlib.compressobj(self._level, zlib.DEFLATED, -WINDOW_BITS)
        return (stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4] or b"\x00"
