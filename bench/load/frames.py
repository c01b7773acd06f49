"""WebSocket bytes as a client writes and reads them (RFC 6455 sections 4.1 and 5.2).

Independent of `wsmesh.wire` on purpose: a fault there must not hide itself from the benchmark.
"""

from __future__ import annotations

import os

TEXT, CLOSE = 0x1, 0x8


def upgrade_request(host: str, path: str) -> bytes:
    """The opening handshake, with the header fields that a browser's SDK would send."""
    return (
        f"GET {path} HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        "Connection: Upgrade\r\n"
        "Upgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "User-Agent: wsmesh-bench\r\n"
        "\r\n"
    ).encode()


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One final frame, masked with a random key."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = os.urandom(4)
    pad = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return head + key + masked.to_bytes(size, "big")


def split_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Whole server frames as (opcode, payload), and the bytes of an unfinished one.

    For checks outside the measured loops; raises `ValueError` on what no server may send here.
    """
    frames = []
    while len(data) >= 2:
        first, second = data[0], data[1]
        if second & 0x80 or first & 0x70 or not first & 0x80:
            raise ValueError(f"expected a final, unmasked, plain frame, found {data[:2].hex()}")
        size, at = second, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(data) < 2 + width:
                break
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        if len(data) < at + size:
            break
        frames.append((first & 0x0F, data[at : at + size]))
        data = data[at + size :]
    return frames, data
