"""A clock that tests set by hand."""

from __future__ import annotations


class Hands:
    """Implements `balancers.Clock`: the time is what a test says it is."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds
