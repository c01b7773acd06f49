"""Which core a node is bound to. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def core_of(number: int, cores: Sequence[int]) -> int:
    """Return the core of the node with this number, 1 for the first: they take turns.

    :param cores: that the supervisor may use, one at least.
    """
    return cores[(number - 1) % len(cores)]
