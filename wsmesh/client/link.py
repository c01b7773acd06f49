"""One working connection: commands go out in batches, replies find who asked."""

from __future__ import annotations

import math

import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, WebSocketConnection
from wsproto.utilities import LocalProtocolError

from wsmesh.client import advice
from wsmesh.client.advice import Ending
from wsmesh.client.bell import Bell
from wsmesh.client.codec import encode_frame
from wsmesh.client.conversation import Conversation
from wsmesh.client.errors import OutcomeUnknown
from wsmesh.client.track import Track
from wsmesh.errors import WsmeshError
from wsmesh.protocol.messages import Command, ConnectResult, Reply

#: Requests wait when this many commands are waiting to be written.
_CROWDED = 256
#: Commands in one frame; the node limits the size of a frame, not their number.
_BATCH = 64


class NotSent(WsmeshError):
    """The connection ended before the command was written; asking again is safe."""


@define(eq=False)
class _Question:
    """A command that waits for its answer."""

    is_sent: bool = False
    reply: Reply | None = None
    done: trio.Event = field(factory=trio.Event)


@define(eq=False, kw_only=True)
class Link:
    """One connection to a node, from `connect` to its end.

    :param scope: everything that runs for this connection; cancelled when it ends.
    :param result: the reply to `connect`.
    :param farewell: set to have the connection closed politely.
    :param unsettled: tracks that this connection has not yet subscribed for the first time.
    """

    url: str
    conversation: Conversation
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    result: ConnectResult | None = None
    ending: Ending | None = None
    token_due: float = math.inf
    token_changed: Bell = field(factory=Bell)
    wanted: dict[Track, None] = field(factory=dict)
    wants_changed: Bell = field(factory=Bell)
    tending: dict[Track, trio.CancelScope] = field(factory=dict)
    unsettled: set[Track] = field(factory=set)
    farewell: trio.Event = field(factory=trio.Event)
    ended: trio.Event = field(factory=trio.Event)
    _settled: trio.Event = field(factory=trio.Event)
    _outbox: list[Command] = field(factory=list)
    _outbox_filled: Bell = field(factory=Bell)
    _outbox_written: trio.Event = field(factory=trio.Event)
    _questions: dict[int, _Question] = field(factory=dict)

    # -- the end ------------------------------------------------------------------------------

    def end(self, ending: Ending) -> None:
        """Note why this connection is over, and stop what runs for it. The first reason counts."""
        if self.ending is None:
            self.ending = ending
            self.scope.cancel()

    def finished(self) -> None:
        """Nothing runs any more: let go of everybody who still waits for an answer."""
        self.ended.set()
        self._settled.set()
        self._outbox_written.set()
        for question in self._questions.values():
            question.done.set()

    def renew_in(self, seconds: float | None) -> None:
        """Have the connection token renewed in that many seconds, None: never."""
        self.token_due = math.inf if seconds is None else trio.current_time() + seconds
        self.token_changed.ring()

    # -- subscriptions ------------------------------------------------------------------------

    def want(self, track: Track) -> None:
        """Have this connection subscribe the track."""
        self.wanted[track] = None
        self.wants_changed.ring()

    def take_wanted(self) -> list[Track]:
        """Return the tracks to subscribe now, and stop what was done for them before."""
        tracks = list(self.wanted)
        self.wanted.clear()
        for track in tracks:
            if (scope := self.tending.pop(track, None)) is not None:
                scope.cancel()
        return tracks

    def drop(self, track: Track) -> None:
        """Stop whatever this connection does for the track."""
        self.wanted.pop(track, None)
        if (scope := self.tending.pop(track, None)) is not None:
            scope.cancel()
        self.settle(track)

    def settle(self, track: Track) -> None:
        """Note that it is decided whether this connection serves the track."""
        self.unsettled.discard(track)
        if not self.unsettled:
            self._settled.set()

    async def wait_settled(self) -> None:
        """Wait until every subscription that was brought along is served here, or refused."""
        if self.unsettled:
            await self._settled.wait()

    # -- commands -----------------------------------------------------------------------------

    def post(self, command: Command, track: Track | None = None) -> None:
        """Send a command without waiting; its answer is not awaited by anyone."""
        self.post_numbered(self.conversation.number(command, track))

    def post_numbered(self, command: Command) -> None:
        """Send a command that has its number, or, as a pong, none."""
        self._outbox.append(command)
        self._outbox_filled.ring()

    async def tell(self, command: Command) -> None:
        """Send a command that has no answer; returns when it is written.

        :raises OutcomeUnknown: the connection ended first.
        """
        await self._wait_room()
        self._outbox.append(command)
        self._outbox_filled.ring()
        while any(waiting is command for waiting in self._outbox):
            if self.ended.is_set():
                raise OutcomeUnknown("the connection was lost before the message was written")
            await self._outbox_written.wait()

    async def ask(self, command: Command, track: Track | None = None) -> Reply:
        """Send a command and return its answer, which may hold an error.

        :param track: which the command subscribes.
        :raises NotSent: the connection ended before the command was written.
        :raises OutcomeUnknown: it ended before the answer came.
        """
        await self._wait_room()
        question = _Question()
        numbered = self.conversation.number(command, track)
        self._questions[numbered.id] = question
        self._outbox.append(numbered)
        self._outbox_filled.ring()
        try:
            await question.done.wait()
        finally:
            self._questions.pop(numbered.id, None)
            self.conversation.forget(numbered.id)
        if question.reply is not None:
            return question.reply
        if not question.is_sent:
            raise NotSent("the connection was lost before the request was written")
        raise OutcomeUnknown("the connection was lost before the answer came")

    def answered(self, reply: Reply) -> None:
        """Wake who asked."""
        question = self._questions.get(reply.id)
        if question is not None:
            question.reply = reply
            question.done.set()

    async def wait_idle(self) -> None:
        """Wait until every question has its answer."""
        for question in list(self._questions.values()):
            await question.done.wait()

    async def _wait_room(self) -> None:
        while len(self._outbox) >= _CROWDED and not self.ended.is_set():
            await self._outbox_written.wait()
        if self.ending is not None:
            raise NotSent("the connection is lost")

    # -- the wire -----------------------------------------------------------------------------

    async def write(self, ws: WebSocketConnection, within: float) -> None:
        """Write what is posted, several commands a frame, until the connection ends.

        :param within: seconds for one frame; half a frame cannot be taken back, so the connection
            ends when they pass.
        """
        while True:
            await self._outbox_filled.wait()
            while self._outbox:
                batch = self._outbox[:_BATCH]
                for command in batch:
                    if (question := self._questions.get(command.id)) is not None:
                        question.is_sent = True
                try:
                    with trio.fail_after(within):
                        await ws.send_message(encode_frame(batch))
                except (ConnectionClosed, LocalProtocolError):
                    return  # the reader knows why, and says so
                except trio.TooSlowError:
                    return self.end(advice.lost(f"a write took longer than {within:g} s"))
                del self._outbox[: len(batch)]
                written, self._outbox_written = self._outbox_written, trio.Event()
                written.set()

    async def read(self, ws: WebSocketConnection, within: float) -> str | bytes | None:
        """Return the next frame, or None when the connection ended.

        :param within: seconds of silence after which the connection counts as broken.
        """
        try:
            with trio.fail_after(within):
                return await ws.get_message()
        except trio.TooSlowError:
            self.end(advice.lost(f"no ping within {within:g} s", advice.NO_PING))
        except ConnectionClosed as closed:
            code, text = (closed.reason.code, closed.reason.reason) if closed.reason else (1006, "")
            self.end(advice.of_close(code, text or f"connection closed ({code})"))
        return None

    async def close_when_asked(self, ws: WebSocketConnection, within: float) -> None:
        """Wait for `farewell`, write what is posted, say goodbye and end, `within` seconds."""
        await self.farewell.wait()
        with trio.move_on_after(within):
            while self._outbox:
                await self._outbox_written.wait()
            await ws.aclose(1000)
        self.end(Ending(advice.CLOSED_BY_USER, "closed by the client"))
