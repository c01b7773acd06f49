"""WebSocket frames as a server reads and writes them (RFC 6455 section 5).

Hot path, measured by `python -m bench frame_parser`. What keeps it fast: a read that is exactly
one small masked text frame, the usual one, is dealt with in `FrameParser.feed` itself, without
state; events are plain tuples; everything else goes through `_parse`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

from wsmesh.config.sections import LimitsSection
from wsmesh.errors import ProtocolViolation
from wsmesh.wire.close import close_payload, parse_close
from wsmesh.wire.deflate import Inflater
from wsmesh.wire.mask import mask
from wsmesh.wire.message import (
    CompressedMessage,
    Message,
    PlainMessage,
    check_text,
    largest_deflated,
)

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

Event = tuple[int, Any]
"""What came: (TEXT | BINARY | PING | PONG, payload: bytes) or (CLOSE, (code: int, reason: str)).

`Any`, because a type checker cannot narrow the second element by the first once they are
unpacked, and objects with types would cost more than parsing the frame."""

_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_FIN, _RSV1, _RSV23, _MASKED = 0x80, 0x40, 0x30, 0x80
_TEXT_HEADS = tuple(bytes((_FIN | TEXT, size)) for size in range(126))
_from_bytes = int.from_bytes
_medium_head = struct.Struct("!BBH").pack


def frame(opcode: int, payload: bytes, *, rsv1: bool = False) -> bytes:
    """Return a final, unmasked frame; `rsv1` says that the payload is deflated."""
    return _head(_FIN | opcode | (_RSV1 if rsv1 else 0), len(payload), 0) + payload


def text_frame(payload: bytes) -> bytes:
    """Return the frame of a text message."""
    size = len(payload)
    if size < 126:
        return _TEXT_HEADS[size] + payload
    if size < 0x10000:
        return _medium_head(_FIN | TEXT, 126, size) + payload
    return _head(_FIN | TEXT, size, 0) + payload


def compressed_text_frame(deflated: bytes) -> bytes:
    """Return the frame of a text message that `Deflater.deflate` made."""
    return _head(_FIN | _RSV1 | TEXT, len(deflated), 0) + deflated


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame; a reason of more than 123 bytes is cut.

    :raises ValueError: the code may not be on the wire, such as 1005 and 1006.
    """
    return frame(CLOSE, close_payload(code, reason))


def client_frame(
    opcode: int,
    payload: bytes,
    key: bytes = b"\x37\xfa\x21\x3d",
    *,
    fin: bool = True,
    rsv1: bool = False,
) -> bytes:
    """Return a masked frame, as a client sends it; for tests and load generators."""
    first = opcode | (_FIN if fin else 0) | (_RSV1 if rsv1 else 0)
    return _head(first, len(payload), _MASKED) + key + mask(payload, key)


def _head(first: int, size: int, masked: int) -> bytes:
    if size < 126:
        return bytes((first, masked | size))
    if size < 0x10000:
        return bytes((first, masked | 126)) + size.to_bytes(2, "big")
    return bytes((first, masked | 127)) + size.to_bytes(8, "big")


class FrameParser:
    """What one client sends, from its first byte after the handshake on.

    Holds at most one message within `limits`, one control frame and one frame head.

    :param deflate: inflates compressed messages; None: compression was not agreed on.
    :ivar is_incomplete: part of a frame or of a message is held, and more has to come.
    """

    __slots__ = (
        "_control", "_first", "_head", "_inflater", "_is_ended", "_is_slow", "_key", "_left",
        "_limits", "_message", "is_incomplete",
    )  # fmt: skip

    def __init__(self, limits: LimitsSection, deflate: Inflater | None) -> None:
        self._limits = limits
        self._inflater = deflate
        self._message: Message | None = None
        self._control = bytearray()
        self._head = b""
        """The beginning of a frame, while its head is incomplete."""
        self._first = 0
        """First byte of the current frame."""
        self._key = b""
        """Its masking key, turned so that it fits the next byte."""
        self._left = 0
        """Bytes of its payload that have not come yet; 0 between frames."""
        self._is_ended = False
        self._is_slow = False
        self.is_incomplete = False

    def feed(self, data: bytes) -> Iterable[Event]:
        """Return the events that `data` completes, to be iterated once.

        After a close frame or a violation nothing more is parsed: further calls return nothing.

        :raises ProtocolViolation: not by the call but by the iteration, after the events that
            came before the violation. 1002 the frames are wrong, 1007 the content is, 1008 there
            are too many fragments, 1009 the message is too big.
        """
        if not self._is_slow:
            size = len(data) - 6
            if 0 <= size < 126 and data[0] == 0x81 and data[1] == size | 0x80:
                payload = (
                    _from_bytes(data[6:], "little") ^ _from_bytes((data[2:6] * 32)[:size], "little")
                ).to_bytes(size, "little")
                if payload.isascii():
                    return ((TEXT, payload),)
        events: list[Event] = []
        try:
            self._parse(data, events)
        except ProtocolViolation as violation:
            self._end()
            return _ending(events, violation)
        if not self._is_ended:
            self.is_incomplete = self._is_slow = (
                self._left > 0 or self._message is not None or len(self._head) > 0
            )
        return events

    def _end(self) -> None:
        self._is_ended = self._is_slow = True
        self.is_incomplete = False
        self._message = None
        self._control.clear()
        self._head = b""

    def _parse(self, data: bytes, events: list[Event]) -> None:
        if self._head:
            data = self._head + data
            self._head = b""
        at, end = 0, len(data)
        while at < end and not self._is_ended:
            if not self._left:
                size = self._begin(data, at, end)
                if not size:
                    self._head = data[at:]
                    return
                at += size
            key = self._key
            piece = mask(data[at : at + self._left], key)
            at += len(piece)
            self._left -= len(piece)
            if self._left:
                turn = len(piece) & 3
                self._key = key[turn:] + key[:turn]
            self._take(piece, events)

    def _begin(self, data: bytes, at: int, end: int) -> int:
        """Read the head of a frame and return its size, 0 while it is incomplete.

        What is wrong is raised as soon as the bytes that tell are here.
        """
        if end - at < 2:
            return 0
        first, second = data[at], data[at + 1]
        self._check_start(first, second)
        size, length = 6, second & 0x7F
        if length >= 126:
            width = 2 if length == 126 else 8
            size += width
            if end - at < 2 + width:
                return 0
            length = _from_bytes(data[at + 2 : at + 2 + width], "big")
            if length < (126 if width == 2 else 0x10000) or length >> 63:
                raise ProtocolViolation(1002, "invalid frame length")
        if not first & CLOSE:
            self._check_size(first, length)
        if end - at < size:
            return 0
        self._first = first
        self._key = data[at + size - 4 : at + size]
        self._left = length
        if not first & CLOSE:
            self._open(first, length, is_whole=end - at - size >= length)
        return size

    def _check_start(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            raise ProtocolViolation(1002, "reserved opcode")
        starts = opcode in (TEXT, BINARY)
        if first & _RSV23 or (first & _RSV1 and (self._inflater is None or not starts)):
            raise ProtocolViolation(1002, "reserved bit set")
        if opcode >= CLOSE:
            if not first & _FIN or second & 0x7F > 125:
                raise ProtocolViolation(1002, "control frame fragmented or too long")
        elif starts is (self._message is not None):
            raise ProtocolViolation(1002, "unexpected start or continuation of a message")
        if not second & _MASKED:
            raise ProtocolViolation(1002, "frame is not masked")

    def _check_size(self, first: int, length: int) -> None:
        message = self._message
        room: int = self._limits.message_size
        if message is not None:
            if message.frames >= self._limits.fragments:
                raise ProtocolViolation(1008, "too many fragments", limit="fragments")
            room = message.room
        elif first & _RSV1:
            room = largest_deflated(room)
        if length > room:
            raise ProtocolViolation(1009, "message too big", limit="message_size")

    def _open(self, first: int, length: int, *, is_whole: bool) -> None:
        """Provide the message that a data frame belongs to, unless it is whole in itself."""
        message = self._message
        if message is None:
            if is_whole and first & (_FIN | _RSV1) == _FIN:
                return
            kind, size = first & 0x0F, self._limits.message_size
            if first & _RSV1 and self._inflater is not None:
                message = CompressedMessage(kind, size, self._inflater, is_text=kind == TEXT)
            else:
                message = PlainMessage(kind, size, is_text=kind == TEXT)
            self._message = message
        message.frames += 1
        message.room -= length

    def _take(self, piece: bytes, events: list[Event]) -> None:
        """Take unmasked bytes of the current frame."""
        if self._first & CLOSE:
            self._take_control(piece, events)
            return
        message, is_frame_end = self._message, not self._left
        if message is None:
            kind = self._first & 0x0F
            if kind == TEXT and not piece.isascii():
                check_text(piece)
            events.append((kind, piece))
            return
        message.add(piece, is_frame_end=is_frame_end)
        if is_frame_end and self._first & _FIN:
            self._message = None
            events.append((message.kind, message.finish()))

    def _take_control(self, piece: bytes, events: list[Event]) -> None:
        self._control += piece
        if self._left:
            return
        payload = bytes(self._control)
        self._control.clear()
        opcode = self._first & 0x0F
        if opcode == CLOSE:
            events.append((CLOSE, parse_close(payload)))
            self._end()
        else:
            events.append((opcode, payload))


def _ending(events: list[Event], violation: ProtocolViolation) -> Iterator[Event]:
    yield from events
    raise violation
