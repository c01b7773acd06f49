"""Where the connection leaves the events of a subscription for whoever reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from attrs import define, field

from wsmesh.client.buffer import Buffer
from wsmesh.client.events import Subscribed, SubscriptionEvent, Unsubscribed, merged


def _buffer() -> Buffer[SubscriptionEvent]:
    return Buffer(merge=merged)


@define(eq=False)
class Reader:
    """The receiving end of one track.

    :param token: allows the subscription, empty when one must be fetched (or none is used).
    :param get_token: fetches a token for a channel.
    :param settled: set when the first subscribe succeeded or was refused.
    :param over: how the subscription ended, perhaps before the reader got that far.
    """

    token: str = ""
    get_token: Callable[[str], Awaitable[str]] | None = None
    buffer: Buffer[SubscriptionEvent] = field(factory=_buffer)
    settled: trio.Event = field(factory=trio.Event)
    over: Unsubscribed | None = None

    def put(self, event: SubscriptionEvent) -> None:
        """Take an event without waiting."""
        self.buffer.put(event)
        if isinstance(event, Unsubscribed):
            self.over = event
        if isinstance(event, Subscribed | Unsubscribed):
            self.settled.set()

    def close(self, end: Exception) -> None:
        """Let the reader have what is there, then raise `end` in it."""
        self.buffer.close(end)
        self.settled.set()
