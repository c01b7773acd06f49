"""What a run is held to: bounds of time, what has to happen, and what is known to be missing."""

from __future__ import annotations

from attrs import field, frozen

NANO = 1_000_000_000


@frozen(kw_only=True)
class Limits:
    """What a run is held to; times in seconds.

    :param demand: of S1 to S6, what must have happened, or the run is vacuous.
    :param killed: processes whose logs may end without `end`.
    :param return_within: from losing a connection to being subscribed again (I10, class A).
    :param silent_within: from a silent fault of a client's node to being subscribed again (I10,
        class B): ping interval, pong timeout, and `return_within`.
    :param revocation: until a revoked client hears nothing any more (I13).
    :param idempotency_window: how long equal keys are one publication (I11).
    :param loss_margin: how long before a fault begins, and after it heals, an acknowledgement
        still counts as made during it (I9).
    :param is_single_fault: at most one copy of the data is lost at a time, so that nothing that
        was acknowledged as replicated or fsync may be lost at all (I9).
    """

    demand: frozenset[str] = field(default=frozenset(), converter=frozenset)
    killed: frozenset[str] = field(default=frozenset(), converter=frozenset)
    return_within: float = 5.0
    silent_within: float = 40.0
    revocation: float = 5.0
    idempotency_window: float = 300.0
    loss_margin: float = 5.0
    is_single_fault: bool = True
