"""A subscriber of the Python client that notes what its application sees."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from urllib.parse import urlsplit

import trio
from attrs import define, field

from tests.history import events as ev
from tests.history.recorder import Recorder
from wsmesh.client import (
    Backoff,
    Client,
    ClientEvent,
    Connected,
    Connecting,
    Deadlines,
    Disconnected,
    NotConnected,
    Publication,
    Subscribed,
    Subscription,
    Unsubscribed,
    open_client,
)

QUICK = Backoff(minimum=0.02, maximum=0.5)


def node_name(url: str) -> str:
    """Return the name of a node in the log: the host and port of its URL."""
    return urlsplit(url).netloc


@define(eq=False)
class RoundRobin:
    """Dials the next address each time, so that a client of a dead node comes to another."""

    urls: Sequence[str]
    turn: int = 0
    node: str = ""

    async def dial(self, _: str) -> trio.abc.Stream:
        """What `open_client` gets as `dial`."""
        parts = urlsplit(self.urls[self.turn % len(self.urls)])
        self.turn += 1
        stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 80)
        self.node = parts.netloc
        return stream


@define(eq=False)
class View:
    """A channel as the application knows it; `offset` is the latest that it got."""

    seg: int = 0
    epoch: str = ""
    offset: int = 0
    is_open: bool = False
    is_over: bool = False


@define(eq=False, kw_only=True)
class Subscriber:
    """One client, subscribed to all of `channels` with recovery.

    :param views: the state of each channel.
    :param subscribed: set once every channel was subscribed.
    """

    cid: str
    channels: Sequence[str]
    recorder: Recorder
    address: RoundRobin
    token: str = ""
    deadlines: Deadlines = field(factory=Deadlines)
    views: dict[str, View] = field(init=False, factory=dict)
    subscribed: trio.Event = field(init=False, factory=trio.Event)
    client: Client | None = field(init=False, default=None)
    _is_connected: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.views = {channel: View() for channel in self.channels}

    async def run(self) -> None:
        """Stay subscribed until cancelled, or until the server does not want this client."""
        try:
            async with (
                open_client(
                    self.address.urls[0], token=self.token, dial=self.address.dial,
                    deadlines=self.deadlines,
                    observe=self.observe, backoff=QUICK, uniform=random.Random(self.cid).uniform,
                ) as client,
                trio.open_nursery() as nursery,
            ):
                self.client = client
                for channel in self.channels:
                    nursery.start_soon(self._read, client, channel)
        except* Disconnected as group:
            end = _first(group)
            for view in self.views.values():
                view.is_over = True
            self._lose("unsubscribed", end.code, end.reason)
        finally:
            self._lose("closed", 0, "")

    def has(self, channel: str, epoch: str, top: int) -> bool:
        """Whether it got everything up to a position, or never will."""
        view = self.views[channel]
        return view.is_over or (view.is_open and (view.epoch, view.offset) == (epoch, top))

    def observe(self, event: ClientEvent) -> None:
        """Note the ends and beginnings of connections."""
        match event:
            case Connecting():
                self._lose("lost", event.code, event.reason)
            case Connected():
                self._is_connected = True
                self.recorder.note(ev.Conn(
                    cid=self.cid, node=self.address.node, session=event.client
                ))

    def _lose(self, why: str, code: int, reason: str) -> None:
        if not self._is_connected:
            return
        self._is_connected = False
        self.recorder.note(ev.Close(cid=self.cid, code=code, reason=reason))
        for channel in self.channels:
            self._end(channel, why)

    def _end(self, channel: str, why: str) -> None:
        view = self.views[channel]
        if view.is_open:
            view.is_open = False
            self.recorder.note(ev.EndSeg(cid=self.cid, ch=channel, seg=view.seg, why=why))

    async def _read(self, client: Client, channel: str) -> None:
        while not self.views[channel].is_over:
            try:
                async with client.subscribe(channel, recover=True) as subscription:
                    await self._follow(channel, subscription)
            except NotConnected:
                continue  # a fault outlasted the deadline of the request

    async def _follow(self, channel: str, subscription: Subscription) -> None:
        async for event in subscription.events():
            match event:
                case Publication():
                    self._delivered(event)
                case Subscribed():
                    self._subscribed(event)
                case Unsubscribed():
                    self.views[channel].is_over = True
                    self._end(channel, "unsubscribed")

    def _subscribed(self, event: Subscribed) -> None:
        view = self.views[event.channel]
        view.seg += 1
        view.is_open = True
        sub = ev.Sub(cid=self.cid, ch=event.channel, seg=view.seg, recovered=event.recovered,
                     was_recovering=event.was_recovering)
        if event.position is not None:
            sub.epoch, sub.offset = event.position.epoch, event.position.offset
        if not event.recovered:
            view.offset = sub.offset
        view.epoch = sub.epoch
        self.recorder.note(sub)
        if all(each.seg or each.is_over for each in self.views.values()):
            self.subscribed.set()

    def _delivered(self, event: Publication) -> None:
        view = self.views[event.channel]
        mid, crc = identity_of(event.data)
        self.recorder.note(ev.Deliver(
            cid=self.cid, ch=event.channel, mid=mid, crc=crc, seg=view.seg, epoch=view.epoch,
            offset=event.offset,
        ))
        view.offset = event.offset


def _first(group: BaseExceptionGroup[Disconnected]) -> Disconnected:
    fault = group.exceptions[0]
    return _first(fault) if isinstance(fault, BaseExceptionGroup) else fault


def identity_of(data: object) -> tuple[str, int]:
    """Return `mid` and `crc` of a payload; of one that nobody here published, its text."""
    match data:
        case {"mid": str(mid), "body": str(body)}:
            return mid, zlib.crc32(body.encode())
    return repr(data)[:40], 0
