"""Which shard channels are wanted, where they are asked for and where they are heard. Sans I/O.

A channel is *pending* while somebody waits for it, *held* once it was confirmed to them, *missing*
while it is held and not heard. It is *unplaced* (nobody is asked), *asked* or *heard* at a place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from attrs import define, field

Place = Hashable
"""Where a channel is heard: a master's pub/sub connection."""


@define(eq=False)
class Request:
    """One call of subscribe.

    :param settled: called once, with None or the error, when the call is over.
    """

    channels: tuple[bytes, ...]
    settled: Callable[[Exception | None], None]
    remaining: set[bytes] = field(init=False, factory=set)
    is_over: bool = field(init=False, default=False)

    def settle(self, outcome: Exception | None) -> None:
        """End the call, once."""
        if not self.is_over:
            self.is_over = True
            self.settled(outcome)


class Ledger:
    """The state of all channels of a node.

    :ivar held: channels whose subscription was confirmed to a caller.
    :ivar missing: those of them that are not heard now.
    :ivar unplaced: channels that are wanted and asked for nowhere; the value means nothing.
    """

    def __init__(self) -> None:
        self.held: set[bytes] = set()
        self.missing: set[bytes] = set()
        self.unplaced: dict[bytes, None] = {}
        self.heard: dict[bytes, Place] = {}
        self._asked: dict[bytes, Place] = {}
        self._pending: dict[bytes, list[Request]] = {}

    def want(self, request: Request) -> None:
        """Begin a call of subscribe; it is over at once when all its channels are heard."""
        for channel in request.channels:
            if channel not in self.heard:
                request.remaining.add(channel)
                if channel not in self._asked:
                    self.unplaced[channel] = None
        for channel in request.channels:
            self._pending.setdefault(channel, []).append(request)
        if not request.remaining:
            self._complete(request)

    def withdraw(self, request: Request, error: Exception) -> list[tuple[bytes, Place]]:
        """Give up a call; return the channels to unsubscribe, and where.

        What was not held before is not held after it, unless another call waits for it.
        """
        if request.is_over:
            return []
        request.settle(error)
        self._forget(request)
        return self.release(request.channels, keep_held=True)

    def release(
        self, channels: Iterable[bytes], *, keep_held: bool = False
    ) -> list[tuple[bytes, Place]]:
        """Want channels no more; return those to unsubscribe, and where.

        :param keep_held: only channels that nobody holds.
        """
        leaving = []
        for channel in channels:
            if keep_held and channel in self.held:
                continue
            self.held.discard(channel)
            self.missing.discard(channel)
            if channel in self._pending:
                continue
            self.unplaced.pop(channel, None)
            asked, heard = self._asked.pop(channel, None), self.heard.pop(channel, None)
            if asked is not None or heard is not None:
                leaving.append((channel, asked if asked is not None else heard))
        return leaving

    def ask(self, channel: bytes, place: Place) -> None:
        """A subscription is on its way to a place."""
        self.unplaced.pop(channel, None)
        self._asked[channel] = place

    def is_asked(self, channel: bytes, place: Place) -> bool:
        """Whether a place was asked for the channel and has not answered."""
        return self._asked.get(channel) == place

    def confirm(self, channel: bytes, place: Place) -> bool:
        """A place hears the channel from now on; True when it was missing."""
        if self._asked.get(channel) != place:
            return False
        del self._asked[channel]
        self.heard[channel] = place
        for request in [*self._pending.get(channel, ())]:
            request.remaining.discard(channel)
            if not request.remaining:
                self._complete(request)
        if channel in self.missing:
            self.missing.discard(channel)
            return True
        return False

    def lose(self, channel: bytes, place: Place) -> bool:
        """A place does not hear the channel any more; True when it has to be placed again.

        The answer to an unsubscription is no news, nor is a place that was left already.
        """
        if self.heard.get(channel) != place:
            return False
        del self.heard[channel]
        self._unplace(channel)
        return True

    def refuse(
        self, channels: Iterable[bytes], place: Place, error: Exception | None
    ) -> list[bytes]:
        """A place did not take channels; return those that are still wanted.

        :param error: ends the calls that wait for them; None lets them wait.
        """
        left = [channel for channel in channels if self.is_asked(channel, place)]
        for channel in left:
            del self._asked[channel]
            self._unplace(channel)
        if error is not None:
            for channel in left:
                for request in [*self._pending.get(channel, ())]:
                    self.withdraw(request, error)
        return [channel for channel in left if channel in self.unplaced]

    def lose_place(self, place: Place) -> None:
        """Nothing is heard at a place any more, and nothing was asked of it."""
        for states in (self.heard, self._asked):
            gone = [channel for channel, where in states.items() if where == place]
            for channel in gone:
                del states[channel]
                self._unplace(channel)

    def close(self, error: Exception) -> None:
        """Nobody listens any more: end all calls."""
        for requests in [*self._pending.values()]:
            for request in [*requests]:
                self.withdraw(request, error)

    def _unplace(self, channel: bytes) -> None:
        self.unplaced[channel] = None
        if channel in self.held:
            self.missing.add(channel)
        for request in self._pending.get(channel, ()):
            request.remaining.add(channel)

    def _complete(self, request: Request) -> None:
        self.held.update(request.channels)
        self._forget(request)
        request.settle(None)

    def _forget(self, request: Request) -> None:
        for channel in set(request.channels):
            requests = self._pending[channel]
            requests.remove(request)
            if not requests:
                del self._pending[channel]
