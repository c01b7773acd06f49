"""Fan-out: hands each encoded frame to every subscriber's connection, fairly between channels.

Hot path, measured by `python -m bench fanout`. Rules that keep it fast and fair:

* a frame is bytes that every receiver shares; per receiver there is one assignment, and one send
  at the end of the turn, whatever the number of frames it got in the turn;
* more than `SLICE` receivers are served slice by slice, the channels in turn, so that one channel
  with very many subscribers delays the others by at most a few slices;
* publications of a channel keep their order: while one is being sliced, later ones queue behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from wsmesh.channels.channel import Channel, Fan, PreparedPush, Sink

SLICE = 512
"""Receivers served at a stretch: at some 8 microseconds per send, 4 ms."""


class Fanout:
    """Pushes on their way to connections.

    :param now: seconds, monotonic.
    :param wake: called when there is something to do and `is_awake` was false.
    :param finished: called with the numbers of receivers of pushes that reached all of theirs,
        and the seconds it took them.
    :param batch_limit: frames that make a batch urgent, 0: there are no batches.
    :param batch_bytes: bytes that do.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        finished: Callable[[Sequence[int], float], None],
        batch_limit: int = 0,
        batch_bytes: int = 0,
    ) -> None:
        self.dirty: list[Sink] = []
        """Connections with frames to send."""
        self.urgent: list[Sink] = []
        """Those of them whose batch is full."""
        self.is_awake = False
        self.wake: Callable[[], None] = _nobody
        self._now = now
        self._finished = finished
        self._waiting: deque[Channel] = deque()
        self._served: list[int] = []
        self.turn_began = now()
        """When the pump's turn began: the time, for what need not be more precise than a turn."""
        self._batch_limit = batch_limit
        self._batch_bytes = batch_bytes

    @property
    def pending(self) -> int:
        """Channels with a push that has not reached everybody."""
        return len(self._waiting)

    def push(self, channel: Channel, push: PreparedPush, sinks: tuple[Sink, ...]) -> None:
        """Send `push` to `sinks`, after what is already on its way in `channel`."""
        if channel.fans is None and len(sinks) <= SLICE:
            self._hand_over(sinks, push, channel)
            self._served.append(len(sinks))
        else:
            if channel.fans is None:
                channel.fans = deque()
                self._waiting.append(channel)
            channel.fans.append(Fan(push, sinks, self._now()))
        if not self.is_awake:
            self.is_awake = True
            self.wake()

    def push_to_one(self, channel: Channel, frame: bytes, sink: Sink) -> None:
        """Send a publication to the only subscriber of `channel`, where nothing is on its way."""
        self.send(sink, frame, channel)
        self._served.append(1)
        if self._batch_limit and self._is_full(sink.out):
            self.urgent.append(sink)

    def send(self, sink: Sink, frame: bytes, channel: Channel | None = None) -> None:
        """Send one frame to one connection, under the policy of `channel` when it is slow."""
        if sink.backlog is None:
            out = sink.out
            if out is None:
                sink.out = frame
                self.dirty.append(sink)
            elif isinstance(out, list):
                out.append(frame)
            else:
                sink.out = [out, frame]
            if not self.is_awake:
                self.is_awake = True
                self.wake()
        else:
            sink.backlog.put(frame, channel)

    def begin_turn(self) -> None:
        """A turn of the pump begins: time what is pushed in it from here."""
        self.is_awake = True
        self.turn_began = self._now()

    def end_turn(self) -> None:
        """What was pushed in the turn has been sent."""
        if self._served:
            self._finished(self._served, self._now() - self.turn_began)
            self._served = []

    def step(self) -> bool:
        """Serve the next slice of the next waiting channel; return whether more is waiting."""
        if not self._waiting:
            return False
        channel = self._waiting.popleft()
        fans = channel.fans
        assert fans is not None
        fan = fans[0]
        upto = fan.done + SLICE
        self._hand_over(fan.sinks[fan.done : upto], fan.push, channel)
        fan.done = upto
        if upto >= len(fan.sinks):
            fans.popleft()
            self._finished((len(fan.sinks),), self._now() - fan.began)
        if fans:
            self._waiting.append(channel)
        else:
            channel.fans = None
        return bool(self._waiting)

    def _is_full(self, out: bytes | list[bytes] | None) -> bool:
        if isinstance(out, list):
            return len(out) >= self._batch_limit or sum(map(len, out)) >= self._batch_bytes
        return out is not None and (self._batch_limit <= 1 or len(out) >= self._batch_bytes)

    def _hand_over(self, sinks: Sequence[Sink], push: PreparedPush, channel: Channel) -> None:
        frames = push.frames
        dirty = self.dirty
        limit = self._batch_limit
        for sink in sinks:
            frame = frames[sink.dialect]
            if frame is None:
                frame = push.build(sink.dialect)
            if sink.backlog is None:
                out = sink.out
                if out is None:
                    sink.out = frame
                    dirty.append(sink)
                elif isinstance(out, list):
                    out.append(frame)
                else:
                    sink.out = [out, frame]
                if limit and self._is_full(sink.out):
                    self.urgent.append(sink)
            else:
                sink.backlog.put(frame, channel)


def _nobody() -> None:
    """Nothing to wake yet."""
