"""One connection's share of the protocol: numbers commands, matches replies, reads pushes; pure.

Replies go in, effects come out; `wsmesh.client.link` carries them out. What a subscribe reply and
the pushes behind it mean for a track is decided here, in the order of the wire, before any task
wakes up.
"""

from __future__ import annotations

from attrs import define, field, frozen

from wsmesh.client import advice
from wsmesh.client.advice import LONGEST_ADVICE, Ending
from wsmesh.client.events import SubscriptionEvent
from wsmesh.client.track import Track
from wsmesh.protocol.messages import (
    Command,
    ConnectRequest,
    ConnectResult,
    Message,
    Push,
    Reply,
    SubscribeResult,
    Unsubscribe,
)
from wsmesh.protocol.resume import Reconnect

SENT_AWAY = (3001, "sent elsewhere")
"""What a move is told with to who observes the client."""


@define(eq=False)
class Registry:
    """All subscriptions of a client, shared by its conversations."""

    chosen: dict[str, Track] = field(factory=dict)
    by_server: dict[str, Track] = field(factory=dict)

    def find(self, channel: str) -> Track | None:
        """Return the track of a channel."""
        return self.chosen.get(channel) or self.by_server.get(channel)

    def detach(self, feed: object) -> None:
        """Forget a conversation that ended."""
        for track in (*self.chosen.values(), *self.by_server.values()):
            track.detach(feed)


@frozen
class Welcome:
    """`connect` was answered: the connection may be used."""

    result: ConnectResult


@frozen
class Answer:
    """The reply to the command with this number came."""

    reply: Reply


@frozen
class Deliver:
    """Hand events to the reader of a track."""

    track: Track
    events: list[SubscriptionEvent]


@frozen
class DeliverMessage:
    """Hand over data for this client alone."""

    message: Message


@frozen
class Pong:
    """Answer the server's ping."""


@frozen
class Leave:
    """The track is full: leave its channel until the reader has made room."""

    track: Track


@frozen
class Resubscribe:
    """Subscribe the track again."""

    track: Track


@frozen
class Lease:
    """The connection token now lives for `ttl` seconds more, None: for ever."""

    ttl: float | None


@frozen
class Window:
    """The first attempt after a lost connection comes within this many seconds."""

    seconds: float


@frozen
class Move:
    """The server wants the client elsewhere, while this connection still works.

    The others are those of `wsmesh.protocol.resume.Reconnect`.
    """

    ending: Ending
    after: float = 0.0
    url: str = ""
    ticket: str = ""


@frozen
class Hangup:
    """This connection is over by the server's decision."""

    ending: Ending


Effect = (
    Welcome | Answer | Deliver | DeliverMessage | Pong | Leave | Resubscribe | Lease | Window
    | Move | Hangup
)


@define(eq=False)
class Conversation:
    """Protocol state of one connection.

    :param is_retiring: another conversation took over; subscribe replies no longer count here.
    """

    registry: Registry
    is_retiring: bool = False
    answers_pings: bool = False
    _last_id: int = 0
    _hello: int = 0
    _awaited: dict[int, Track | None] = field(factory=dict)
    _restored: dict[Track, SubscribeResult] = field(factory=dict)

    def number(self, command: Command, track: Track | None = None) -> Command:
        """Give a command its number.

        :param track: which the command subscribes.
        """
        self._last_id += 1
        command.id = self._last_id
        self._awaited[command.id] = track
        return command

    def greeting(self, request: ConnectRequest) -> Command:
        """Return the first command: `request`, with the positions of what is to be recovered.

        These are the server-side subscriptions, and all others when a session is continued.
        """
        positions = {
            channel: track.request()
            for channel, track in self.registry.by_server.items()
            if track.position is not None and track.may_recover
        }
        if request.resume is not None and request.resume.session:
            for channel, track in self.registry.chosen.items():
                if track.is_wanted:
                    positions[channel] = track.request()
        request.subs = positions or None
        command = self.number(Command(connect=request))
        self._hello = command.id
        return command

    def take_restored(self, track: Track) -> SubscribeResult | None:
        """Return what the reply to `connect` said of a track, if it subscribed it; once."""
        return self._restored.pop(track, None)

    def forget(self, number: int) -> None:
        """Stop waiting for an answer; it is ignored when it comes."""
        self._awaited.pop(number, None)

    def feed(self, reply: Reply) -> list[Effect]:
        """Return what a reply asks for, in order."""
        if reply.id:
            return self._answered(reply)
        if reply.push is not None:
            return self._pushed(reply.push)
        return [Pong()] if self.answers_pings else []

    def _answered(self, reply: Reply) -> list[Effect]:
        if reply.id not in self._awaited:
            return []
        track = self._awaited.pop(reply.id)
        if reply.id == self._hello:
            if reply.error is not None:
                return [Hangup(advice.of_connect_error(reply.error))]
            return self._connected(reply.connect or ConnectResult())
        effects: list[Effect] = []
        if track is not None and reply.subscribe is not None and reply.error is None:
            effects += self._subscribed(track, reply.subscribe)
        return [*effects, Answer(reply)]

    def _connected(self, result: ConnectResult) -> list[Effect]:
        self.answers_pings = result.pong
        effects: list[Effect] = [Welcome(result), _lease(result.expires, result.ttl)]
        given = result.subs or {}
        for channel in self.registry.by_server.keys() - given.keys():
            effects += self._drop(channel, 2000, "server unsubscribe")
        is_resumed = result.resume is not None and result.resume.resumed
        for channel, outcome in given.items():
            track = self.registry.chosen.get(channel) if is_resumed else None
            if track is None or channel in self.registry.by_server:
                track = self._server_track(channel)
            elif track.is_wanted:
                self._restored[track] = outcome
            effects += self._subscribed(track, outcome)
        return effects

    def _server_track(self, channel: str) -> Track:
        return self.registry.by_server.setdefault(channel, Track(channel=channel))

    def _subscribed(self, track: Track, result: SubscribeResult) -> list[Effect]:
        if self.is_retiring or not track.is_wanted:
            return []
        return self._delivered(track, track.subscribed(result, self))

    def _delivered(self, track: Track, events: list[SubscriptionEvent]) -> list[Effect]:
        effects: list[Effect] = [Deliver(track, events)] if events else []
        return [*effects, Leave(track)] if track.is_paused else effects

    def _drop(self, channel: str, code: int, reason: str) -> list[Effect]:
        track = self.registry.by_server.pop(channel)
        return [Deliver(track, track.over(code, reason))]

    def _pushed(self, push: Push) -> list[Effect]:
        if push.pub is not None or push.join is not None or push.leave is not None:
            return self._of_channel(push)
        if push.unsubscribe is not None:
            return self._unsubscribed(push.channel, push.unsubscribe)
        if push.message is not None:
            return [DeliverMessage(push.message)]
        if push.subscribe is not None:
            got = push.subscribe
            result = SubscribeResult(
                recoverable=got.recoverable,
                positioned=got.positioned,
                epoch=got.epoch,
                offset=got.offset,
                data=got.data,
            )
            return self._subscribed(self._server_track(push.channel), result)
        if push.disconnect is not None:
            ending = advice.of_close(push.disconnect.code, push.disconnect.reason)
            return [Hangup(ending)] if ending.terminal else [Move(ending)]
        if push.refresh is not None:
            return [_lease(push.refresh.expires, push.refresh.ttl)]
        if push.reconnect is not None:
            return _reconnect(push.reconnect)
        return []

    def _of_channel(self, push: Push) -> list[Effect]:
        track = self.registry.find(push.channel)
        if track is None or track.feed is not self:
            return []
        if push.pub is not None:
            return self._delivered(track, track.published(push.pub))
        if push.join is not None:
            return self._delivered(track, track.joined(push.join.info))
        assert push.leave is not None
        return self._delivered(track, track.left(push.leave.info))

    def _unsubscribed(self, channel: str, push: Unsubscribe) -> list[Effect]:
        track = self.registry.find(channel)
        if track is None or track.feed is not self:
            return []
        if channel in self.registry.by_server:
            return self._drop(channel, push.code, push.reason)
        if not advice.asks_to_resubscribe(push.code):
            return [Deliver(track, track.over(push.code, push.reason))]
        track.feed = None
        track.forced += 1
        return [Resubscribe(track)]


def _reconnect(push: Reconnect) -> list[Effect]:
    if push.after is None:
        return [Window(push.window)]
    ending = advice.of_close(*SENT_AWAY)
    return [Move(ending, min(max(0.0, push.after), LONGEST_ADVICE), push.url, push.ticket)]


def _lease(expires: bool, ttl: int) -> Lease:
    return Lease(float(max(1, ttl)) if expires else None)
