"""The nodes themselves: who is up, how many clients each has, and whom it refuses.

Plain lists, indexed by the number of the node, because the engine reads them for every client.
"""

from __future__ import annotations

from collections.abc import Iterable

from balancers.interface import Member
from bench.simulation.scenario import Gateways, NodeGroup


class Fleet:
    """The state of all nodes that are or will be there.

    The last place in each list stands for incarnations that are gone: it refuses everybody.

    :ivar groups: what each node is.
    :ivar names: the id of its incarnation.
    :ivar index: id -> node; of ids that are gone, the last place.
    :ivar count: clients it has.
    :ivar limit: below so many clients, `count` may be raised by one without asking `admit`.
    :ivar capacity: clients at most.
    :ivar taken: clients it took since somebody cleared it.
    :ivar full_seconds: node-seconds that ended during which a node was full.
    """

    __slots__ = (
        "_accept_queue", "_free_at", "_full_since", "_incarnations", "_is_accepting", "_is_up",
        "_may_skip", "_reports", "capacity", "count", "full_seconds", "groups", "index", "limit",
        "names", "taken",
    )

    def __init__(
        self, groups: Iterable[NodeGroup], gateways: Gateways, *, may_skip: bool
    ) -> None:
        """Have all nodes down.

        :param may_skip: whether `limit` lets clients in without `admit` where that is the same.
        """
        self.groups = list(groups)
        places = len(self.groups) + 1
        self.names = [f"node-{number:03}/0" for number in range(places)]
        self.index: dict[str, int] = {}
        self.count = [0] * places
        self.taken = [0] * places
        self.limit = [-1] * places
        self.capacity = [*(group.capacity for group in self.groups), -1]
        self.full_seconds = 0.0
        self._accept_queue = gateways.accept_queue
        self._may_skip = may_skip
        self._is_up = [False] * places
        self._is_accepting = [False] * places
        self._incarnations = [0] * places
        self._free_at = [0.0] * places
        self._full_since = [0.0] * places
        self._reports = 0

    @property
    def serving(self) -> tuple[int, ...]:
        """The nodes that are up and accept."""
        return tuple(
            number
            for number, accepts in enumerate(self._is_accepting)
            if accepts and self._is_up[number]
        )

    def is_up(self, node: int, name: str) -> bool:
        """Return whether this incarnation of the node is up."""
        return self._is_up[node] and self.names[node] == name

    def start(self, node: int) -> None:
        """Have a node up and accepting, as a new incarnation without clients."""
        self._incarnations[node] += 1
        self.names[node] = f"node-{node:03}/{self._incarnations[node]}"
        self.index[self.names[node]] = node
        self._is_up[node] = True
        self.accept(node, accepts=True)

    def stop(self, node: int, now: float) -> None:
        """Have a node down; its clients are the caller's business, but are counted no more."""
        if self.count[node] == self.capacity[node]:
            self.full_seconds += now - self._full_since[node]
        self._is_up[node] = False
        self.index[self.names[node]] = len(self.groups)
        self.accept(node, accepts=False)
        self.count[node] = 0

    def accept(self, node: int, *, accepts: bool) -> None:
        """Have a node accept clients or refuse them."""
        self._is_accepting[node] = accepts
        is_plain = accepts and self._may_skip and not self.groups[node].accept_rate
        # The last place goes through `admit`, which notes since when the node is full.
        self.limit[node] = self.capacity[node] - 1 if is_plain else -1

    def admit(self, node: int, now: float, *, at_once: bool = False) -> float | None:
        """Return how many seconds a client waits until the node has it; None: it is refused.

        :param at_once: whatever the rate at which the node accepts.
        """
        if not self._is_accepting[node] or self.count[node] >= self.capacity[node]:
            return None
        wait = 0.0
        rate = self.groups[node].accept_rate
        if rate and not at_once:
            free_at = max(self._free_at[node], now)
            wait = free_at - now
            if wait > self._accept_queue:
                return None
            self._free_at[node] = free_at + 1 / rate
        self.count[node] += 1
        self.taken[node] += 1
        if self.count[node] == self.capacity[node]:
            self._full_since[node] = now
        return wait

    def left(self, node: int, now: float) -> None:
        """Count a client less."""
        if self.count[node] == self.capacity[node]:
            self.full_seconds += now - self._full_since[node]
        self.count[node] -= 1

    def full_node_seconds(self, now: float) -> float:
        """Return for how long nodes have been full in all."""
        open_ends = sum(
            now - self._full_since[node]
            for node in range(len(self.groups))
            if self.count[node] == self.capacity[node]
        )
        return self.full_seconds + open_ends

    def report(self, node: int) -> Member:
        """Return what the node says of itself."""
        group = self.groups[node]
        self._reports += 1
        return Member(
            id=self.names[node],
            weight=group.weight,
            capacity=group.capacity,
            connections=self.count[node],
            report=self._reports,
            is_accepting=self._is_accepting[node],
            zone=group.zone,
        )
