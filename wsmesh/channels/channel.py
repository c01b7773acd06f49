"""A channel as one node sees it: who is subscribed here, and publications on their way to them."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from wsmesh.protocol.codec import Form, encode_publication, encode_push, json_string
from wsmesh.protocol.messages import Publication, Push
from wsmesh.wire.deflate import Deflater
from wsmesh.wire.frames import compressed_text_frame, text_frame

DIALECTS = 2 * len(Form)
"""A dialect is what a connection's frames look like: `2 * form + (1 if deflated)`."""

_FORMS = tuple(Form)
_NOT_BUILT: tuple[bytes | None, ...] = (None,) * DIALECTS


class Backlog(Protocol):
    """Where frames go while a connection's socket takes nothing."""

    def put(self, frame: bytes, channel: Channel | None) -> None:
        """Queue the frame, or apply the channel's policy for slow consumers."""


class Sink(Protocol):
    """The sending half of a connection.

    `out` holds the frame, or the list of frames, of the current turn. While the socket takes
    nothing, `backlog` is set and frames go there instead.
    """

    dialect: int
    out: bytes | list[bytes] | None
    backlog: Backlog | None

    def flush(self) -> int:
        """Send what the turn produced, without waiting; return the bytes sent."""

    def on_fault(self, fault: Exception) -> None:
        """Take the exception that `flush` raised; must not raise."""


class PreparedPush:
    """A push, encoded at most once per dialect, whatever the number of receivers."""

    __slots__ = ("_channel", "_deflater", "_min_size", "_push", "frames")

    def __init__(
        self,
        channel: Channel,
        push: Publication | Push,
        deflater: Deflater | None,
        min_size: int,
    ) -> None:
        self.frames: list[bytes | None] = list(_NOT_BUILT)
        self._channel = channel
        self._push = push
        self._deflater = deflater
        self._min_size = min_size

    def build(self, dialect: int) -> bytes:
        """Encode for `dialect` and remember it."""
        frame = encoded(self._channel, self._push, dialect, self._deflater, self._min_size)
        self.frames[dialect] = frame
        return frame


def encoded(
    channel: Channel,
    push: Publication | Push,
    dialect: int,
    deflater: Deflater | None,
    min_size: int,
) -> bytes:
    """Return the frame of a push for connections of a dialect.

    :param min_size: bytes from which on a message is compressed where that was agreed on.
    """
    form = _FORMS[dialect >> 1]
    if isinstance(push, Publication):
        payload = encode_publication(channel.json_name, push, form)
    else:
        payload = encode_push(push, form)
    if dialect & 1 and deflater is not None and len(payload) >= min_size:
        return compressed_text_frame(deflater.deflate(payload))
    return text_frame(payload)


class Fan:
    """One push on its way to many sinks: `sinks[done:]` still have to get it."""

    __slots__ = ("began", "done", "push", "sinks")

    def __init__(self, push: PreparedPush, sinks: tuple[Sink, ...], began: float) -> None:
        self.push = push
        self.sinks = sinks
        self.began = began
        self.done = 0


class Joining:
    """A subscription between "registered" and "live": keeps what is published meanwhile.

    :ivar is_overflown: what it keeps is not all of it.
    """

    __slots__ = ("is_overflown", "publications")

    LIMIT = 1024

    def __init__(self) -> None:
        self.publications: list[Publication] = []
        self.is_overflown = False

    def keep(self, publication: Publication) -> None:
        """Remember a publication; past `LIMIT` of them the subscription has to start over."""
        if len(self.publications) < self.LIMIT:
            self.publications.append(publication)
        else:
            self.is_overflown = True


_ABSENT = object()


class Channel:
    """Subscribers of one channel on this node.

    :param name: the channel.
    :param policy: what happens to its publications when a client is slow (`slow_consumer`).
    :ivar live: the sinks that get its publications, each with the owner of its subscription.
    :ivar joining: subscriptions that are not live yet.
    :ivar fans: what is being sent slice by slice, None when nothing is.
    """

    # Most channels have one or few subscribers: what they rarely need is not made in advance.
    __slots__ = (
        "_receivers", "fans", "joining", "json_name", "live", "name", "policy", "watchers",
    )

    def __init__(self, name: str, policy: str) -> None:
        self.name = name
        self.json_name = json_string(name)
        self.policy = policy
        self.live: dict[Sink, object] = {}
        self.watchers: dict[Sink, None] = {}
        self.joining: tuple[Joining, ...] = ()
        self.fans: deque[Fan] | None = None
        self._receivers: tuple[Sink, ...] | None = None

    @property
    def is_unused(self) -> bool:
        """Whether nobody is subscribed; what is still on its way then reaches nobody either."""
        return not (self.live or self.joining)

    def no_longer_joining(self, joining: Joining) -> None:
        """Forget a subscription that went live or was given up."""
        self.joining = tuple(each for each in self.joining if each is not joining)

    def receivers(self) -> tuple[Sink, ...]:
        """Return the live sinks as they are now; later changes do not touch the tuple."""
        if self._receivers is None:
            self._receivers = tuple(self.live)
        return self._receivers

    def add(self, sink: Sink, *, owner: object = None, with_events: bool) -> None:
        """Make the sink live; `with_events` also sends it joins and leaves.

        :param owner: whose subscription it is.
        """
        self.live[sink] = owner
        self._receivers = None
        if with_events:
            self.watchers[sink] = None

    def discard(self, sink: Sink) -> None:
        """Stop sending to the sink."""
        if self.live.pop(sink, _ABSENT) is not _ABSENT:
            self._receivers = None
        self.watchers.pop(sink, None)
