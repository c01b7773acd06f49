"""Names of keys and shard channels in Redis. Pure.

`<prefix>:{<partition>}:<kind>:<name>`: what stands between the braces decides the slot (Redis
Cluster specification, "Hash tags"), so everything of one channel is in one slot.
"""

from __future__ import annotations

from functools import lru_cache
from zlib import crc32

from attrs import frozen

CACHED = 1024
"""Channels whose names are remembered, the latest used."""


@frozen(slots=True)
class ChannelKeys:
    """Where the things of one channel are.

    :ivar meta: hash: epoch, top and last version of the stream.
    :ivar stream: the publications.
    :ivar shard: the shard channel on which they are fanned out.
    :ivar entries: hash: client -> presence entry.
    :ivar until: sorted set: client -> until when the entry holds.
    """

    channel: str
    partition: int
    meta: bytes
    stream: bytes
    shard: bytes
    entries: bytes
    until: bytes


class Keyspace:
    """The keys of one cluster of nodes.

    :param prefix: `[redis] prefix`.
    :param partitions: `[redis] partitions`.
    :ivar of: channel -> `ChannelKeys`; one look-up for a channel that was used lately.
    """

    def __init__(self, prefix: str, partitions: int) -> None:
        self._prefix = prefix.encode()
        self.partitions = partitions
        self.of = lru_cache(CACHED)(self._of)

    def _of(self, channel: str) -> ChannelKeys:
        name = _bytes_of(channel)
        partition = crc32(name) % self.partitions
        meta, stream, shard, entries, until = (
            self._key(partition, kind, name)
            for kind in (b"meta", b"stream", b"channel", b"presence", b"until")
        )
        return ChannelKeys(channel, partition, meta, stream, shard, entries, until)

    def outcome(self, keys: ChannelKeys, idempotency_key: str) -> bytes:
        """Return where the outcome of a publish is remembered."""
        # The length keeps "a" with the key "b:c" and "a:b" with the key "c" apart.
        name = b"%d:%s:%s" % (
            len(keys.channel), _bytes_of(keys.channel), _bytes_of(idempotency_key)
        )
        return self._key(keys.partition, b"outcome", name)

    def members(self, partition: int, owner: str) -> bytes:
        """Return the set of clients that an owner (`node/incarnation`) has in a partition."""
        return self._key(partition, b"members", _bytes_of(owner))

    def canary(self, partition: int, name: str) -> bytes:
        """Return the shard channel on which a node hears itself."""
        return self._key(partition, b"canary", _bytes_of(name))

    def _key(self, partition: int, kind: bytes, name: bytes) -> bytes:
        return b"%s:{%d}:%s:%s" % (self._prefix, partition, kind, name)


def quarantine_of(key: bytes) -> bytes:
    """Return the name under which what a key held is kept when it was not what it should be."""
    return key.replace(b"}:", b"}:quarantine:", 1)


def member_of(channel: str, client: str) -> bytes:
    """Return how a client in a channel is called among the members of its owner."""
    return b"%d:%s%s" % (len(_bytes_of(channel)), _bytes_of(channel), _bytes_of(client))


def split_member(member: bytes) -> tuple[str, str]:
    """Return channel and client of a member's name.

    :raises ValueError: it is none.
    """
    length, colon, rest = member.partition(b":")
    if not colon or not length.isdigit() or int(length) > len(rest):
        raise ValueError("not the name of a member")
    middle = int(length)
    return rest[:middle].decode(), rest[middle:].decode()


def _bytes_of(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
