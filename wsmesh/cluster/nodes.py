"""Nodes as the cluster knows them: who one is, and what it says of itself."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import attrs
import msgspec
from msgspec import Meta, Struct

from wsmesh.errors import WsmeshError

Id = Annotated[str, Meta(min_length=1, max_length=255)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[int, Meta(ge=0, le=10**9)]


@attrs.frozen(order=True)
class Identity:
    """A node's process: an incarnation never comes back once it was declared dead.

    :param node: its id, which a restarted process may take again.
    :param incarnation: grows with every process, and every condemned life, of that id.
    """

    node: str
    incarnation: int

    def __str__(self) -> str:
        return f"{self.node}/{self.incarnation}"


class NodeState(Enum):
    """Where a node is in its life; a record says one of the first four.

    SUSPECT and DEAD are what others think of it, kept beside its record: DEAD is final for an
    incarnation, SUSPECT is not.
    """

    JOINING = "joining"
    ALIVE = "alive"
    DRAINING = "draining"
    LEAVING = "leaving"
    SUSPECT = "suspect"
    DEAD = "dead"


_OWN_STATES = {
    state.value: state
    for state in (NodeState.JOINING, NodeState.ALIVE, NodeState.DRAINING, NodeState.LEAVING)
}


class MalformedRecord(WsmeshError):
    """What the registry holds is no record of a node."""


class NodeRecord(Struct, frozen=True, kw_only=True):
    """What a node says of itself. A field more or fewer is no reason not to understand it.

    :param name: for people.
    :param listeners: addresses for clients, `HOST:PORT`.
    :param url: `ws://HOST:PORT` under which clients reach this node itself; empty: there is none.
    :param mesh: address of its mesh listener, `HOST:PORT`; empty: it has none.
    :param zone: where it runs.
    :param weight: its share of clients relative to others; 0 takes it out.
    :param capacity: connections at most.
    :param connections: connections now.
    :param report: grows whenever one of the figures below or `connections` is told anew.
    :param load: see `wsmesh.cluster.health.load_of`.
    :param health: see `wsmesh.cluster.health.health_of`.
    :param state: a `NodeState` by value; later releases may say what this one does not know.
    :param version: of wsmesh.
    :param release: what operators weigh against others; empty in records of before there were.
    :param started_at: Unix time, to be shown and never to be compared.
    """

    node: Id
    incarnation: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    name: str = ""
    listeners: tuple[str, ...] = ()
    url: str = ""
    mesh: str = ""
    zone: str = ""
    weight: Annotated[float, Meta(ge=0, le=1e6)] = 1.0
    capacity: Amount = 10_000
    connections: Amount = 0
    report: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    load: Fraction = 0.0
    health: Fraction = 1.0
    state: str = NodeState.JOINING.value
    version: str = ""
    release: str = ""
    started_at: float = 0.0

    @property
    def identity(self) -> Identity:
        """Which process this is."""
        return Identity(self.node, self.incarnation)

    @property
    def own_state(self) -> NodeState:
        """What it says it is doing; LEAVING for what this release does not know."""
        return _OWN_STATES.get(self.state, NodeState.LEAVING)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(NodeRecord)


def encode_record(record: NodeRecord) -> bytes:
    """Return a record as JSON."""
    return _encoder.encode(record)


def decode_record(text: bytes) -> NodeRecord:
    """Return what `encode_record` of this or a neighbouring release wrote.

    :raises MalformedRecord: it is none, or its values are none.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedRecord(f"not a node's record: {error}") from error
