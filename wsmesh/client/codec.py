"""Frames of the client protocol: several commands or replies, one JSON document a line; pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw, UnsetType

from wsmesh.errors import ProtocolViolation
from wsmesh.protocol.messages import Command, Reply

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Reply)


def encode_frame(commands: Iterable[Command]) -> str:
    """Return one text frame that holds `commands` in order."""
    return b"\n".join(map(_ENCODER.encode, commands)).decode()


def decode_frame(frame: str | bytes) -> list[Reply]:
    """Return the replies of one frame.

    :raises ProtocolViolation: the frame is not the JSON form of the client protocol.
    """
    try:
        return _DECODER.decode_lines(frame)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise ProtocolViolation(1007, f"not a frame of the client protocol: {fault}") from fault


def to_raw(data: object) -> Raw | UnsetType:
    """Return `data` as embedded JSON; `UNSET` and ready-made `Raw` pass through.

    :raises TypeError: `data` has no JSON form.
    """
    if data is UNSET:
        return UNSET
    return data if isinstance(data, Raw) else Raw(_ENCODER.encode(data))


def from_raw(raw: Raw | UnsetType) -> bytes:
    """Return embedded JSON as bytes, empty when it is absent."""
    return b"" if isinstance(raw, UnsetType) else bytes(raw)
