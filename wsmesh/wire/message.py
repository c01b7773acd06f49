"""One incoming data message while its frames arrive: what it holds, inflation and UTF-8."""

from __future__ import annotations

import codecs

from wsmesh.errors import ProtocolViolation
from wsmesh.wire.deflate import Inflater

_Decoder = codecs.getincrementaldecoder("utf-8")


def check_text(payload: bytes) -> None:
    """Make sure that a whole text is UTF-8.

    :raises ProtocolViolation: 1007.
    """
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        raise _not_utf8() from None


def largest_deflated(size: int) -> int:
    """Return how many bytes a message of `size` bytes may have when it is compressed.

    The worst that deflate does to random bytes are fixed Huffman codes, of 9 bits each.
    """
    return size + size // 8 + 64


class PlainMessage:
    """An uncompressed message; text is validated as it comes, also within a frame.

    :ivar room: bytes that further frames may declare.
    :ivar frames: frames so far.
    """

    __slots__ = ("_data", "_decoder", "frames", "kind", "room")

    def __init__(self, kind: int, room: int, *, is_text: bool) -> None:
        self.kind = kind
        self.room = room
        self.frames = 0
        self._data = bytearray()
        self._decoder = _Decoder() if is_text else None

    def add(self, piece: bytes, *, is_frame_end: bool) -> None:
        """Take unmasked bytes.

        :raises ProtocolViolation: 1007 what came so far cannot be the beginning of a text.
        """
        self._data += piece
        if self._decoder is not None:
            _decode(self._decoder, piece, is_end=False)

    def finish(self) -> bytes:
        """Return the whole message.

        :raises ProtocolViolation: 1007 the text ends within a character.
        """
        if self._decoder is not None:
            _decode(self._decoder, b"", is_end=True)
        return bytes(self._data)


class CompressedMessage:
    """A compressed message, inflated frame by frame.

    Not within frames, so that a violation does not depend on how the bytes were split.

    :param size: bytes it may have when inflated.
    :ivar room: bytes that further frames may declare.
    :ivar frames: frames so far.
    """

    __slots__ = ("_frame", "_inflater", "_left", "_plain", "frames", "kind", "room")

    def __init__(self, kind: int, size: int, inflater: Inflater, *, is_text: bool) -> None:
        self.kind = kind
        self.room = largest_deflated(size)
        self.frames = 0
        self._plain = PlainMessage(kind, size, is_text=is_text)
        self._left = size
        self._inflater = inflater
        self._frame = bytearray()

    def add(self, piece: bytes, *, is_frame_end: bool) -> None:
        """Take unmasked bytes.

        :raises ProtocolViolation: 1009 inflated, it is too big; 1007 it is not deflate, or not
            UTF-8.
        """
        self._frame += piece
        if is_frame_end:
            self._take(self._inflater.inflate(bytes(self._frame), self._left))
            self._frame.clear()

    def finish(self) -> bytes:
        """Return the whole message, inflated.

        :raises ProtocolViolation: as `add`.
        """
        self._take(self._inflater.finish(self._left))
        return self._plain.finish()

    def _take(self, inflated: bytes) -> None:
        self._left -= len(inflated)
        self._plain.add(inflated, is_frame_end=True)


Message = PlainMessage | CompressedMessage


def _decode(decoder: codecs.IncrementalDecoder, piece: bytes, *, is_end: bool) -> None:
    try:
        decoder.decode(piece, is_end)
    except UnicodeDecodeError:
        raise _not_utf8() from None


def _not_utf8() -> ProtocolViolation:
    return ProtocolViolation(1007, "text is not UTF-8")
