"""A store as its contract sees it: nodes that share it, what they heard, and messages to send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field, frozen
from msgspec import Raw

from wsmesh.protocol.messages import ClientInfo, Publication
from wsmesh.store.interface import Position, PublishOptions, Retention, Store

CHANNEL = "news:sport"
KEEPS = Retention(size=5, ttl=10.0, meta_ttl=40.0)
KEEPING = PublishOptions(retention=KEEPS)
PASSING = PublishOptions()
ANN = ClientInfo(user="ann", client="c1", conn_info=Raw(b'{"name":"Ann"}'))
BOB = ClientInfo(user="bob", client="c2")


@define(eq=False)
class Node:
    """A store as one node has it, and what the node heard."""

    store: Store
    heard: list[tuple[str, Publication, Position]] = field(factory=list)
    events: list[tuple[str, ClientInfo, bool]] = field(factory=list)
    gaps: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.store.listen(
            lambda channel, publication, position: self.heard.append(
                (channel, publication, position)
            ),
            lambda channel, info, joined: self.events.append((channel, info, joined)),
            self.gaps.append,
        )

    @property
    def offsets(self) -> list[int]:
        """The offsets of what was heard, in that order."""
        return [publication.offset for _, publication, _ in self.heard]


@frozen(eq=False)
class Cluster:
    """Nodes that share what they store: one for memory, several for a store between processes.

    :param lapse: lets seconds pass.
    :param delivered: returns once everybody has heard what was published.
    """

    nodes: tuple[Node, ...]
    lapse: Callable[[float], Awaitable[None]]
    delivered: Callable[[], Awaitable[None]]

    @property
    def store(self) -> Store:
        """The store of the first node."""
        return self.nodes[0].store


def message(number: int = 0) -> Publication:
    """Return a publication with everything a publisher may set."""
    return Publication(
        data=Raw(b"%d" % number), info=ANN, tags={"number": str(number)}, time=1_700_000_000_000
    )


async def publish(store: Store, count: int, options: PublishOptions = KEEPING) -> Position:
    """Publish messages 1 to `count`; return the position of the last."""
    position = Position()
    for number in range(1, count + 1):
        position = (await store.publish(CHANNEL, message(number), options)).position
    return position


def numbers(publications: tuple[Publication, ...]) -> list[int]:
    """Return the offsets of publications."""
    return [publication.offset for publication in publications]
