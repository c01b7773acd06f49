"""What strategies and modifiers say about members, for people and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from balancers.interface import View

Described = float | str | bool


@runtime_checkable
class Describing(Protocol):
    """A strategy or modifier that can say how it sees members."""

    def described(self, view: View) -> Mapping[str, Mapping[str, Described]]:
        """Return id -> name of a fact -> the fact, for members of the view."""


def described_by(someone: object, view: View) -> Mapping[str, Mapping[str, Described]]:
    """Return what it describes, nothing when it does not describe."""
    return someone.described(view) if isinstance(someone, Describing) else {}
