"""How well a node is, and how full, as one number each. Both end in its record.

Health is that of the worst part, because the worst part is what a client feels:

=============  =================================  ====================================
part           1 (well) up to                     0 (not at all) from
=============  =================================  ====================================
loop lag       50 ms                              1 s (reliability: not ready by then)
queues         half of the bytes that may wait    all of them
errors         1 of 100 commands                  half of the commands
free slots     a tenth of them free               none free
=============  =================================  ====================================

Between the two it falls in a straight line. Health says how a node does what it has, load says
how much it has: a balancer looks at both, a scaler at load only.
"""

from __future__ import annotations

from attrs import frozen

_LAG = (0.05, 1.0)
_QUEUES = (0.5, 1.0)
_ERRORS = (0.01, 0.5)
_FULL = (0.9, 1.0)


@frozen(kw_only=True)
class Vitals:
    """What a node measured since it last reported.

    :param loop_lag: seconds, the worst by which a timer was late.
    :param queued: bytes that wait for clients, of all connections.
    :param queue_limit: bytes that may wait.
    :param commands: commands carried out or failed.
    :param errors: those that failed for a reason of the node's own.
    :param connections: connections now.
    :param capacity: connections at most.
    """

    loop_lag: float = 0.0
    queued: int = 0
    queue_limit: int = 0
    commands: int = 0
    errors: int = 0
    connections: int = 0
    capacity: int = 0


def health_of(vitals: Vitals) -> float:
    """Return a node's health, 0 to 1, by the table above; a part without a limit counts as well.

    No capacity is no free slot: health 0.
    """
    return min(
        _well(vitals.loop_lag, _LAG),
        _well(_share(vitals.queued, vitals.queue_limit), _QUEUES),
        _well(_share(vitals.errors, vitals.commands), _ERRORS),
        _well(vitals.connections / vitals.capacity, _FULL) if vitals.capacity > 0 else 0.0,
    )


def load_of(connections: int, capacity: int, busy: float = 0.0) -> float:
    """Return how full a node is, 0 to 1: of connections or of work, whichever is more.

    :param busy: share of the time that its loop was not waiting.
    """
    full = connections / capacity if capacity > 0 else 1.0
    return min(1.0, max(0.0, full, busy))


def _share(part: int, whole: int) -> float:
    return part / whole if whole > 0 else 0.0


def _well(value: float, limits: tuple[float, float]) -> float:
    well, ill = limits
    return min(1.0, max(0.0, (ill - value) / (ill - well)))
