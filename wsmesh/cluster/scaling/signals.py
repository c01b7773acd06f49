"""What decisions are made from: the nodes as their leader sees them."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class NodeSignal:
    """One node.

    :param id: `node/incarnation`.
    :param connections: as it reported last.
    :param capacity: connections at most.
    :param is_known: its report is fresh; otherwise only that it is there.
    :param is_leaving: it drains, or has stopped.
    :param age: seconds since it started.
    :param is_leader: it is the one that decides.
    """

    id: str
    name: str = ""
    connections: int = 0
    capacity: int = 0
    is_known: bool = True
    is_leaving: bool = False
    age: float = 1e9
    is_leader: bool = False


@frozen
class Signals:
    """All nodes at one moment.

    Loads are of the whole cluster: the fullest node alone is no reason to add one, for the new one
    would not relieve it.
    """

    nodes: tuple[NodeSignal, ...]

    @property
    def staying(self) -> tuple[NodeSignal, ...]:
        """Those that do not leave."""
        return tuple(node for node in self.nodes if not node.is_leaving)

    @property
    def size(self) -> int:
        """How many stay."""
        return len(self.staying)

    @property
    def capacity(self) -> float:
        """Connections that one of them takes, on average."""
        return sum(node.capacity for node in self.staying) / max(1, self.size)

    @property
    def connections(self) -> int:
        """All connections that are known of; those of leaving nodes will come to the others."""
        return sum(node.connections for node in self.nodes if node.is_known)

    @property
    def is_complete(self) -> bool:
        """Whether the figures of all that stay are known."""
        return all(node.is_known for node in self.staying)
