"""A load that is on record: publishers and subscribers against real nodes, judged afterwards.

::

    async with recorded_load(
        [node.url], channels=["a"], publishers=2, subscribers=3, directory=tmp_path, api_key=KEY
    ) as load:
        async with load.fault("cut"):
            ...
    assert load.verdict(demand={"S1"}).is_valid
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import trio
from attrs import define, field

from tests.history import events as ev
from tests.history.check import check
from tests.history.found import Verdict
from tests.history.limits import Limits
from tests.history.publisher import (
    ProtocolPublisher,
    Publisher,
    Refused,
    ServerApi,
    Unknown,
    Unsent,
)
from tests.history.recorder import Recorder, open_recorder
from tests.history.subscriber import QUICK, RoundRobin, Subscriber, identity_of
from wsmesh.client import ClientError, Deadlines, open_client
from wsmesh.errors import ReplyError

#: Seconds for an attempt over HTTP, and between looks at what is still missing.
_ATTEMPT = 3.0
_LOOK = 0.02


@define(eq=False, kw_only=True)
class Load:
    """Publishers and subscribers at work.

    :param missing: set when it is over: (cid, channel) of those that had not got everything
        when the patience of `settle_within` was over.
    """

    directory: Path
    channels: Sequence[str]
    recorder: Recorder
    subscribers: list[Subscriber] = field(factory=list)
    publishers: list[Publisher] = field(factory=list)
    missing: list[tuple[str, str]] = field(factory=list)
    _stop: trio.Event = field(factory=trio.Event)
    _stopped: trio.Event = field(factory=trio.Event)

    @property
    def acknowledged(self) -> int:
        """How many messages were acknowledged so far."""
        return sum(publisher.acknowledged for publisher in self.publishers)

    async def wait_acknowledged(self, more: int) -> None:
        """Wait until that many more messages were acknowledged."""
        until = self.acknowledged + more
        while self.acknowledged < until:
            await trio.sleep(_LOOK)

    @asynccontextmanager
    async def fault(
        self, name: str, target: str = "", *, outage: bool = False, silent: bool = False
    ) -> AsyncGenerator[None]:
        """Put on record that a fault lasts as long as the context.

        :param target: a node by `subscriber.node_name`, or anything else.
        :param outage: nobody can be served meanwhile.
        :param silent: clients of `target` get no sign of it.
        """
        self.recorder.note(ev.Nemesis(
            op="start", fault=name, target=target, outage=outage, silent=silent
        ))
        self.recorder.flush()
        try:
            yield
        finally:
            self.recorder.note(ev.Nemesis(op="heal", fault=name, target=target))

    def note(self, event: ev.Event) -> None:
        """Put an event on record."""
        self.recorder.note(event)

    async def stop_publishing(self) -> None:
        """Let every publisher finish its message."""
        self._stop.set()
        await self._stopped.wait()

    def verdict(self, limits: Limits | None = None, **of_limits: Any) -> Verdict:
        """Judge all logs of the directory, once the load is over; words are those of `Limits`."""
        return check([self.directory], limits or Limits(**of_limits))

    async def publish(self) -> None:
        """Run the publishers until `stop_publishing`."""
        async with trio.open_nursery() as nursery:
            for publisher in self.publishers:
                nursery.start_soon(publisher.run, self._stop)
        self._stopped.set()

    async def settle(self, look: ServerApi | HistoryReader, within: float) -> None:
        """Wait until every subscriber has everything, and put on record where the streams end."""
        with trio.move_on_after(within):
            for channel in self.channels:
                await self._wait_channel(channel, look)
        for channel in self.channels:
            epoch, top, kept = await _read(channel, look)
            self.missing += [
                (each.cid, channel) for each in self.subscribers
                if not each.has(channel, epoch, top)
            ]
            if not epoch:
                continue
            self.note(ev.Final(ch=channel, epoch=epoch, top=top))
            for offset, data in kept:
                mid, _ = identity_of(data)
                self.note(ev.Stored(ch=channel, epoch=epoch, offset=offset, mid=mid))

    async def _wait_channel(self, channel: str, look: ServerApi | HistoryReader) -> None:
        epoch, top, _ = await _read(channel, look, 0)
        while not all(each.has(channel, epoch, top) for each in self.subscribers):
            await trio.sleep(_LOOK)
            epoch, top, _ = await _read(channel, look, 0)


@define(eq=False)
class HistoryReader:
    """Reads streams over a client's connection, where there is no API key."""

    client: Any

    async def history(
        self, channel: str, limit: int = -1
    ) -> tuple[str, int, list[tuple[int, object]]]:
        """As `ServerApi.history`; "" and 0 for a channel without history."""
        try:
            read = await self.client.history(channel, limit=limit)
        except ReplyError as fault:
            if fault.code == 108:
                return "", 0, []
            raise Unknown(str(fault), may_repeat=True) from fault
        except ClientError as fault:
            raise Unknown(str(fault), may_repeat=True) from fault
        return read.position.epoch, read.position.offset, [
            (each.offset, each.data) for each in read.publications
        ]


async def _read(
    channel: str, look: ServerApi | HistoryReader, limit: int = -1
) -> tuple[str, int, list[tuple[int, object]]]:
    while True:
        try:
            return await look.history(channel, limit)
        except Refused:
            return "", 0, []  # the channel keeps no history
        except (Unsent, Unknown):
            await trio.sleep(_LOOK)


@asynccontextmanager
async def recorded_load(
    urls: Sequence[str],
    *,
    channels: Sequence[str],
    publishers: int,
    subscribers: int,
    directory: Path,
    name: str = "load",
    api_key: str = "",
    api_urls: Sequence[str] = (),
    token: str = "",
    rate: float = 100.0,
    body_bytes: int = 64,
    settle_within: float = 20.0,
    deadlines: Deadlines | None = None,
) -> AsyncGenerator[Load]:
    """Publish and subscribe for the length of the context, and put everything on record.

    The body runs once every subscriber is subscribed to every channel. When it is over the
    publishers finish, the subscribers get `settle_within` seconds to have everything, and the ends
    of the streams are written down; then the log is complete.

    :param urls: of the nodes; a client that loses one goes to the next.
    :param directory: where `<name>.jsonl` goes; also the prefix of clients and publishers, so that
        several loads can share a directory.
    :param api_key: publish over the HTTP API with idempotency keys and retries; without it over
        clients' connections, once, and without learning positions.
    :param api_urls: `http://host:port` of the API, where it is not that of `urls`.
    :param rate: messages a second of each publisher.
    :param deadlines: of the subscribers.
    """
    api_urls = api_urls or [f"http://{urlsplit(url).netloc}" for url in urls]
    async with AsyncExitStack() as stack:
        recorder = stack.enter_context(open_recorder(directory / f"{name}.jsonl"))
        load = Load(directory=directory, channels=channels, recorder=recorder)
        http = await stack.enter_async_context(
            httpx2.AsyncClient(timeout=_ATTEMPT, trust_env=False)
        )
        look: ServerApi | HistoryReader = ServerApi(http, api_urls, api_key)
        for number in range(publishers):
            if api_key:
                attempt = ServerApi(http, api_urls, api_key, number).publish
            else:
                client = await stack.enter_async_context(
                    open_client(urls[0], token=token, backoff=QUICK,
                                dial=RoundRobin(urls, number).dial)
                )
                look = HistoryReader(client)
                attempt = ProtocolPublisher(client).publish
            load.publishers.append(Publisher(
                name=f"{name}.p{number}", channels=channels, recorder=recorder, attempt=attempt,
                has_keys=bool(api_key), rate=rate, body_bytes=body_bytes,
            ))
        async with trio.open_nursery() as nursery:
            for number in range(subscribers):
                subscriber = Subscriber(
                    cid=f"{name}.c{number}", channels=channels, recorder=recorder, token=token,
                    address=RoundRobin(urls, number), deadlines=deadlines or Deadlines(),
                )
                load.subscribers.append(subscriber)
                nursery.start_soon(subscriber.run)
            for subscriber in load.subscribers:
                await subscriber.subscribed.wait()
            nursery.start_soon(load.publish)
            yield load
            await load.stop_publishing()
            await load.settle(look, settle_within)
            nursery.cancel_scope.cancel()
