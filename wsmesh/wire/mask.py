"""Masking of frame payloads (RFC 6455 section 5.3), without a Python loop over bytes."""

from __future__ import annotations

BY_NUMBER = 512
"""Payloads up to this many bytes are masked as one big number: fewer calls, but several times the
cost per byte. `python -m bench frame_parser` shows both sides of it."""

_XOR = tuple(bytes(value ^ key for value in range(256)) for key in range(256))


def mask(payload: bytes, key: bytes) -> bytes:
    """Return `payload` masked, or unmasked, with the 4 bytes of `key`."""
    size = len(payload)
    if size <= BY_NUMBER:
        pad = (key * (size // 4 + 1))[:size]
        number = int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")
        return number.to_bytes(size, "little")
    masked = bytearray(payload)
    for lane, value in enumerate(key):
        masked[lane::4] = masked[lane::4].translate(_XOR[value])
    return bytes(masked)
