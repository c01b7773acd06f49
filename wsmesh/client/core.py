"""What the tasks of one client share: its subscriptions, its connection, and how it ended."""

from __future__ import annotations

import trio
from attrs import define, field

from wsmesh.client.advice import LONGEST_ADVICE, Ending
from wsmesh.client.bell import Bell
from wsmesh.client.buffer import Buffer
from wsmesh.client.conversation import Registry
from wsmesh.client.errors import Disconnected, NotConnected
from wsmesh.client.events import SubscriptionEvent
from wsmesh.client.link import Link
from wsmesh.client.options import Options
from wsmesh.client.reader import Reader
from wsmesh.client.track import Track
from wsmesh.client.urls import at_node
from wsmesh.protocol.messages import Command, ConnectResult, Message, UnsubscribeRequest
from wsmesh.protocol.resume import Resume


@define(eq=False)
class MoveOrder:
    """A wish to be connected elsewhere.

    :param url: where to, None: the same address again.
    :param failure: why it did not happen.
    :param is_advised: the server wants it, so one failed attempt is not the end of it.
    :param at: when, for what is advised; trio's clock.
    :param ticket: to be shown there.
    """

    url: str | None = None
    is_advised: bool = False
    at: float = 0.0
    ticket: str = ""
    failure: Ending | None = None
    done: trio.Event = field(factory=trio.Event)


@define(eq=False, kw_only=True)
class Core:
    """State of one client.

    :param url: where the next attempt goes.
    :param token: the connection token, empty when one must be fetched (or none is used).
    :param link: the connection that requests use, None while there is none.
    :param resume: what the server gave us to continue our session with.
    :param window: seconds within which the first attempt after a lost connection comes; 0: the
        server did not say.
    :param is_known_lost: there is no connection, and who observes was told.
    :param retired: connections that are being replaced and still deliver.
    """

    options: Options
    url: str
    token: str
    registry: Registry = field(factory=Registry)
    readers: dict[Track, Reader] = field(factory=dict)
    server_events: Buffer[SubscriptionEvent] = field(factory=Buffer)
    messages: Buffer[bytes] = field(factory=Buffer)
    link: Link | None = None
    resume: Resume | None = None
    window: float = 0.0
    retired: list[Link] = field(factory=list)
    order: MoveOrder | None = None
    bell: Bell = field(factory=Bell)
    is_closing: bool = False
    is_known_lost: bool = True
    ending: Ending | None = None
    last_failure: str = ""
    _changed: trio.Event = field(factory=trio.Event)

    def adopt(self, link: Link) -> None:
        """Make a connection that was just welcomed the one that is used.

        One that still works keeps delivering until `retire` finds that nothing needs it.
        """
        if self.link is not None:
            self.link.conversation.is_retiring = True
            self.retired.append(self.link)
        self.link = link
        for track in self.registry.chosen.values():
            if track.is_wanted:
                link.unsettled.add(track)
                link.want(track)
        self.tell()

    def resumption(self) -> Resume | None:
        """Return what the next `connect` says about our session.

        While a connection still works it keeps its session, which a claim would take from it.
        """
        if not self.options.resume:
            return None
        return self.resume if self.resume is not None and self.link is None else Resume()

    def welcomed(self, result: ConnectResult) -> None:
        """Keep what the server gave us to continue the session with."""
        given = result.resume
        self.resume = None if given is None else Resume(given.session, given.secret)
        self.widen(0.0 if given is None else given.window)

    def widen(self, window: float) -> None:
        """Take over how many seconds the server wants clients to come back in."""
        self.window = min(max(0.0, window), LONGEST_ADVICE)

    def abandon(self, link: Link) -> None:
        """Forget a connection that ended."""
        self.registry.detach(link.conversation)
        if link in self.retired:
            self.retired.remove(link)
        if self.link is link:
            self.link = None
        self.bell.ring()

    def tell(self) -> None:
        """Wake everybody who waits for the connection."""
        self._changed.set()
        self._changed = trio.Event()
        self.bell.ring()

    async def wait_link(self, within: float) -> Link:
        """Return the connection, waiting for it if need be.

        :raises Disconnected: there will be none.
        :raises NotConnected: there was none in time.
        """
        with trio.move_on_after(within):
            while True:
                self.check()
                if self.link is not None:
                    return self.link
                await self._changed.wait()
        raise NotConnected(within, self.last_failure)

    def check(self) -> None:
        """Raise `Disconnected` when the client is over."""
        if self.ending is not None:
            raise Disconnected(self.ending.code, self.ending.reason)

    def finish(self, ending: Ending) -> None:
        """The client is over: everything that waits on it raises `Disconnected`."""
        if self.ending is not None:
            return
        self.ending = ending
        self.link = None
        end = Disconnected(ending.code, ending.reason)
        for reader in self.readers.values():
            reader.close(end)
        self.server_events.close(end)
        self.messages.close(end)
        self.tell()

    def deliver(self, track: Track, events: list[SubscriptionEvent]) -> None:
        """Hand events to whoever reads the track."""
        reader = self.readers.get(track)
        for event in events:
            if reader is not None:
                reader.put(event)
            else:
                self.server_events.put(event)

    def deliver_message(self, message: Message) -> None:
        """Hand over data for this client alone."""
        self.messages.put(bytes(message.data))

    def leave(self, track: Track) -> None:
        """Tell the server, wherever it may still serve the track, that it should not."""
        track.feed = None
        for link in (self.link, *self.retired):
            if link is not None:
                link.drop(track)
                link.post(Command(unsubscribe=UnsubscribeRequest(channel=track.channel)))

    def end_track(self, track: Track, code: int, reason: str) -> None:
        """End a subscription for good."""
        self.deliver(track, track.over(code, reason))

    def want(self, track: Track) -> None:
        """Have the track subscribed, now or when there is a connection."""
        if self.link is not None and track.is_wanted:
            self.link.want(track)

    def advise_move(
        self, ending: Ending, *, after: float = 0.0, url: str = "", ticket: str = ""
    ) -> None:
        """The server wants the client elsewhere, `after` seconds from now."""
        self.last_failure = ending.reason
        if ending.stale_token and self.options.get_token is not None:
            self.token = ""
        if self.order is None:
            self.order = MoveOrder(
                url=at_node(self.url, url) if url else None, is_advised=True,
                at=trio.current_time() + after, ticket=ticket,
            )
            self.bell.ring()
