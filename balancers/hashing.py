"""Keys and members as 64-bit numbers, the same in every process, release and run.

Keyed, because clients choose what they are placed by: without the seed nobody can aim at a member.
"""

from __future__ import annotations

from hashlib import blake2b

_MASK = (1 << 64) - 1


def hash_bytes(data: bytes, seed: bytes = b"") -> int:
    """Return 64 bits of keyed BLAKE2b (RFC 7693), most significant byte first.

    :param seed: up to 64 bytes, the same for everybody who must agree.
    :raises ValueError: the seed is longer.
    """
    return int.from_bytes(blake2b(data, digest_size=8, key=seed).digest(), "big")


def mixed(key: int, other: int) -> int:
    """Return 64 bits that depend on every bit of both numbers (the finalizer of SplitMix64).

    Cheaper than hashing bytes again where a key meets each of many members.
    """
    value = (key ^ (other * 0x9E3779B97F4A7C15)) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
