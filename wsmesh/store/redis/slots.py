"""The 16384 slots of a cluster: what CLUSTER SLOTS says of them. Pure."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from wsmesh.config.redis_url import Address

SLOTS = 16384


@frozen
class SlotMap:
    """Who serves what.

    :ivar owners: the master of each slot, None where there is none.
    :ivar replicas: all of them, to be asked when no master answers.
    """

    owners: tuple[Address | None, ...]
    replicas: frozenset[Address] = frozenset()

    @property
    def masters(self) -> frozenset[Address]:
        """Those that serve a slot."""
        return frozenset(owner for owner in set(self.owners) if owner is not None)

    @property
    def is_complete(self) -> bool:
        """Whether every slot has a master."""
        return None not in self.owners


def parse_slots(reply: Any, asked: Address) -> SlotMap:
    """Return the map that a reply to CLUSTER SLOTS describes.

    :param asked: who replied: a server that does not know its own host means this one.
    :raises ValueError: it is no such reply.
    """
    owners: list[Address | None] = [None] * SLOTS
    replicas = set()
    try:
        for first, last, master, *others in reply:
            owner = _address(master, asked)
            owners[first:last + 1] = [owner] * (last + 1 - first)
            replicas |= {found for each in others if (found := _address(each, asked)) is not None}
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"not a reply to CLUSTER SLOTS: {error}") from error
    return SlotMap(tuple(owners), frozenset(replicas))


def _address(node: Any, asked: Address) -> Address | None:
    host, port = node[0], int(node[1])
    if host == b"?" or not port:
        return None
    return Address(host.decode() if host else asked.host, port)
