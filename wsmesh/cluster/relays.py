"""Probes that a node carries out for others."""

from __future__ import annotations

import math

from attrs import define, field, frozen

from wsmesh.cluster.nodes import Identity

MOST_RELAYS = 64


@frozen
class Relay:
    """A probe on behalf of `asker`, whose number for it is `number`."""

    asker: str
    number: int
    target: Identity
    deadline: float


@define
class Relays:
    """The relayed probes without an answer yet, by this node's number for them."""

    _open: dict[int, Relay] = field(factory=dict, init=False)

    @property
    def due(self) -> float:
        """When the first one is given up; infinity for never."""
        return min((relay.deadline for relay in self._open.values()), default=math.inf)

    @property
    def is_full(self) -> bool:
        """Whether no more can be taken."""
        return len(self._open) >= MOST_RELAYS

    def add(self, own_number: int, relay: Relay) -> None:
        """A relayed probe goes out."""
        self._open[own_number] = relay

    def answered(self, own_number: int, peer: Identity) -> Relay | None:
        """Return the relay that this ack answers, which is done then."""
        relay = self._open.get(own_number)
        if relay is None or relay.target != peer:
            return None
        return self._open.pop(own_number)

    def given_up(self, now: float) -> tuple[Relay, ...]:
        """Return those that are too late, which are done then."""
        late = [number for number, relay in self._open.items() if relay.deadline <= now]
        return tuple(self._open.pop(number) for number in late)

    def clear(self) -> None:
        """Nobody gets an answer: this node cannot tell why none came."""
        self._open.clear()
