"""The hub: channel -> subscribers on this node, and what arrives for them."""

from __future__ import annotations

from collections.abc import Iterator

from wsmesh.channels.channel import Channel, Joining, PreparedPush, Sink, encoded
from wsmesh.channels.fanout import Fanout
from wsmesh.config.sections import CompressionSection
from wsmesh.protocol.messages import ClientInfo, Join, Leave, Publication, Push
from wsmesh.store.interface import Position
from wsmesh.wire.deflate import Deflater


class Hub:
    """Takes publications from the store and hands them to the subscribers' connections."""

    def __init__(self, fanout: Fanout, compression: CompressionSection) -> None:
        self._channels: dict[str, Channel] = {}
        self.fanout = fanout
        self._deflater = Deflater(compression.level) if compression.enabled else None
        self._min_size = compression.min_size
        self._vacated: set[str] = set()
        self.subscriptions = 0

    def __len__(self) -> int:
        return len(self._channels)

    def __contains__(self, name: str) -> bool:
        return name in self._channels

    def counts(self) -> Iterator[tuple[str, int]]:
        """Yield every channel with its number of subscribers."""
        return ((name, len(channel.live)) for name, channel in self._channels.items())

    def count(self, name: str) -> int:
        """Return how many connections are subscribed to a channel."""
        channel = self._channels.get(name)
        return len(channel.live) if channel else 0

    def break_joining(self, name: str) -> None:
        """Publications were missed: who is joining cannot continue from what was kept."""
        channel = self._channels.get(name)
        for joining in channel.joining if channel else ():
            joining.is_overflown = True

    def owners(self, name: str) -> tuple[object, ...]:
        """Return the owners of a channel's subscriptions."""
        channel = self._channels.get(name)
        return tuple(channel.live.values()) if channel else ()

    def shrink(self) -> None:
        """Let go of the room of channels that are gone: a dict never does so by itself."""
        self._channels = dict(self._channels)

    def join(self, name: str, policy: str) -> Joining:
        """Begin a subscription: from now on publications are kept until `go_live`."""
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = Channel(name, policy)
        joining = Joining()
        channel.joining += (joining,)
        return joining

    def go_live(
        self, name: str, joining: Joining, sink: Sink, *, owner: object = None, with_events: bool
    ) -> None:
        """Complete a subscription: the sink gets every publication from now on.

        :param owner: see `owners`.
        """
        channel = self._channels[name]
        channel.no_longer_joining(joining)
        channel.add(sink, owner=owner, with_events=with_events)
        self.subscriptions += 1

    def give_up(self, name: str, joining: Joining) -> None:
        """Abandon a subscription that did not go live."""
        channel = self._channels[name]
        channel.no_longer_joining(joining)
        self._forget_unused(channel)

    def leave(self, name: str, sink: Sink) -> None:
        """End the sink's subscription."""
        channel = self._channels[name]
        channel.discard(sink)
        self.subscriptions -= 1
        self._forget_unused(channel)

    def take_vacated(self) -> set[str]:
        """Return the channels that somebody was the last to leave, since this was last called.

        Some of them may have subscribers again.
        """
        vacated, self._vacated = self._vacated, set()
        return vacated

    def _forget_unused(self, channel: Channel) -> None:
        if channel.is_unused:
            del self._channels[channel.name]
            self._vacated.add(channel.name)

    def deliver(self, name: str, publication: Publication, position: Position) -> None:
        """Take a publication from the store (`wsmesh.store.interface.Deliver`)."""
        channel = self._channels.get(name)
        if channel is None:
            return
        for joining in channel.joining:
            joining.keep(publication)
        receivers = channel.receivers()
        if len(receivers) == 1 and channel.fans is None:
            only = receivers[0]
            frame = encoded(channel, publication, only.dialect, self._deflater, self._min_size)
            self.fanout.push_to_one(channel, frame, only)
        elif receivers:
            push = PreparedPush(channel, publication, self._deflater, self._min_size)
            self.fanout.push(channel, push, receivers)

    def presence_event(self, name: str, info: ClientInfo, joined: bool) -> None:
        """Take a join or leave from the store, for those who asked for them."""
        channel = self._channels.get(name)
        if channel is None or not channel.watchers:
            return
        event = Push(channel=name, join=Join(info)) if joined else Push(name, leave=Leave(info))
        push = PreparedPush(channel, event, self._deflater, self._min_size)
        self.fanout.push(channel, push, tuple(channel.watchers))
