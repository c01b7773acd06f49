"""What goes wrong when: a pure function of a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType

from attrs import frozen

HEALTHY = 2
"""Nodes that nothing happens to, at any time."""

CALM = 8.0
"""Seconds at the beginning and at the end in which nothing happens."""


@frozen
class Kind:
    """A class of faults.

    :param least: seconds it lasts at least; of a killed or drained node: until it is started again.
    :param most: seconds it lasts at most.
    :param settle: seconds that its node is left alone afterwards.
    :param is_silent: clients of the node get no sign of it.
    :param is_deaf: the node serves its clients, but has nothing for them.
    """

    least: float
    most: float
    settle: float = 5.0
    is_silent: bool = False
    is_deaf: bool = False


KINDS: Mapping[str, Kind] = MappingProxyType({
    "kill": Kind(0.5, 3.0),
    "pause": Kind(0.3, 1.2, settle=2.0),
    "stop": Kind(4.0, 7.0, is_silent=True),
    "drain": Kind(0.5, 3.0),
    "cut from redis": Kind(1.0, 3.0, is_deaf=True),
    "cut from peers": Kind(2.0, 6.0, is_silent=True),
    "reset redis": Kind(0.1, 0.3, settle=3.0),
    "slow redis": Kind(2.0, 6.0, settle=2.0),
    "half-open redis": Kind(1.0, 3.0, is_deaf=True),
    "narrow redis": Kind(2.0, 5.0, settle=2.0),
    "add and remove": Kind(5.0, 12.0, settle=3.0),
})
"""What can happen. `add and remove` starts one more node, which is drained at its end."""


@frozen
class Fault:
    """Something that happens to a node.

    :param at: seconds from the beginning.
    :param node: its number; one that is added has the number after the last.
    """

    at: float
    kind: str
    node: int
    lasts: float

    @property
    def until(self) -> float:
        """When it is healed."""
        return self.at + self.lasts

    def __str__(self) -> str:
        return f"{self.at:6.1f} s  {self.kind} node-{self.node} for {self.lasts:.1f} s"


def schedule(seed: int, nodes: int, seconds: float) -> tuple[Fault, ...]:
    """Return the faults of a run, in the order of their beginning.

    Every kind comes once before one comes again. Two nodes at least are left alone at any time.

    :param nodes: that are there from the beginning, 3 or more.
    """
    rng = random.Random(seed)
    free_at = dict.fromkeys(range(nodes + 1), CALM)
    found: list[Fault] = []
    bag: list[str] = []
    now = CALM
    while True:
        if not bag:
            bag = sorted(KINDS)
            rng.shuffle(bag)
        kind = bag.pop()
        lasts = rng.uniform(KINDS[kind].least, KINDS[kind].most)
        if kind == "add and remove":
            candidates = [nodes]
        else:
            candidates = list(range(nodes))
            rng.shuffle(candidates)
        node = min(candidates, key=free_at.__getitem__)
        # So many others may be busy at once.
        busy = sorted(at for each, at in free_at.items() if each not in (node, nodes))
        at = max(now, free_at[node], busy[HEALTHY - 1] if kind != "add and remove" else 0.0)
        if at + lasts > seconds - CALM:
            return tuple(found)
        found.append(Fault(at, kind, node, lasts))
        free_at[node] = at + lasts + KINDS[kind].settle
        now = at + rng.uniform(0.5, 4.0)
