"""A run in memory: columns of numbers for what there are millions of, objects for the rest.

A delivery takes 28 bytes here.
"""

from __future__ import annotations

from array import array

from attrs import define, field

from tests.history import events as ev


def _ints() -> array[int]:
    return array("q")


def _crcs() -> array[int]:
    return array("I")


@define(eq=False, slots=True)
class Client:
    """What is known of a client; `conns` are its connections, `closes` their ends."""

    cid: str
    process: str
    conns: list[Connection] = field(factory=list)
    closes: list[ev.Close] = field(factory=list)

    def connection(self, node: str) -> Connection | None:
        """Return the connection to which a delivery belongs."""
        if node:
            return next((conn for conn in reversed(self.conns) if conn.event.node == node), None)
        return self.conns[-1] if self.conns else None


@define(eq=False, slots=True)
class Connection:
    """A connection; `first` and `last` are its first and last delivery, None: there was none."""

    event: ev.Conn
    first: ev.Deliver | None = None
    last: ev.Deliver | None = None


@define(eq=False, slots=True)
class Segment:
    """A granted subscription and what it brought, in columns.

    :param asked_after: the client cannot have asked for it before this time, 0 when not known.
    :param strays: deliveries that name another epoch than the subscription does.
    """

    client: Client
    ch: str
    seg: int
    sub: ev.Sub | None = None
    end: ev.EndSeg | None = None
    asked_after: int = 0
    offsets: array[int] = field(factory=_ints)
    mids: array[int] = field(factory=_ints)
    times: array[int] = field(factory=_ints)
    crcs: array[int] = field(factory=_crcs)
    strays: list[ev.Deliver] = field(factory=list)

    @property
    def epoch(self) -> str:
        """The epoch in which it was granted."""
        return "" if self.sub is None else self.sub.epoch

    @property
    def is_positioned(self) -> bool:
        """Whether its messages have offsets."""
        return self.epoch != ""


@define(eq=False)
class Channel:
    """What happened in a channel.

    :param allowed: grants and revocations.
    :param stored: what the store was seen to hold: message -> the event.
    """

    name: str
    invoked: array[int] = field(factory=_ints)
    invoked_at: array[int] = field(factory=_ints)
    invoked_crc: array[int] = field(factory=_crcs)
    keys: dict[int, str] = field(factory=dict)
    acked: array[int] = field(factory=_ints)
    acked_at: array[int] = field(factory=_ints)
    acked_offset: array[int] = field(factory=_ints)
    acked_epoch: array[int] = field(factory=_ints)
    acked_durability: array[int] = field(factory=_ints)
    failed: set[int] = field(factory=set)
    unknown: set[int] = field(factory=set)
    segments: list[Segment] = field(factory=list)
    finals: list[ev.Final] = field(factory=list)
    stored: dict[int, ev.Stored] = field(factory=dict)
    allowed: list[ev.Allow | ev.Revoke] = field(factory=list)


@define(eq=False)
class Process:
    """A log file."""

    name: str
    is_complete: bool = False
    last: int = 0
