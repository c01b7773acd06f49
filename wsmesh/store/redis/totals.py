"""What all connections of a client did since it was made."""

from __future__ import annotations

from attrs import define


@define
class Totals:
    """Counters; they survive the connections and masters they came from."""

    reconnects: int = 0
    missed_deadlines: int = 0
    redirections: int = 0
    breakers_opened: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    subscribe_commands: int = 0
