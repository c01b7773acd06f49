"""A TCP proxy that a test tells which faults to have: slow, silent, lossy, narrow, gone."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum
from math import inf
from typing import Protocol

import trio
from attrs import define, field

from tests.servers.resp import Chunks

READ_SIZE = 65_536
IN_FLIGHT = 4_000
"""Messages on the way in one direction of a connection; then its sender has to wait."""
_NO_LINGER = struct.pack("ii", 1, 0)
"""SO_LINGER for zero seconds: close sends RST."""


class Direction(Enum):
    """Which way bytes go."""

    UP = "client to server"
    DOWN = "server to client"


class Splitter(Protocol):
    """Cuts a stream into messages."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the messages that are complete with them."""
        ...


@define(eq=False)
class Loss:
    """Messages that are to be lost, and those that were."""

    is_wanted: Callable[[bytes], bool]
    left: int
    lost: list[bytes] = field(factory=list)
    happened: trio.Event = field(factory=trio.Event)
    """Set once all of them are lost."""


@define(eq=False)
class Way:
    """The faults of one direction."""

    latency: float = 0.0
    jitter: float = 0.0
    bandwidth: float = inf
    open: trio.Event = field(factory=trio.Event)
    losses: list[Loss] = field(factory=list)
    passed: int = 0

    def loses(self, message: bytes) -> bool:
        """Say whether a message is lost, and remember it."""
        for loss in self.losses:
            if loss.is_wanted(message):
                loss.lost.append(message)
                loss.left -= 1
                if not loss.left:
                    self.losses.remove(loss)
                    loss.happened.set()
                return True
        return False


@define(eq=False)
class Relayed:
    """A client's connection and the one to the server."""

    client: trio.SocketStream
    server: trio.SocketStream
    scope: trio.CancelScope = field(factory=trio.CancelScope)

    def abort(self) -> None:
        """Close both at once with RST."""
        for stream in (self.client, self.server):
            with suppress(OSError):
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.scope.cancel()


class Proxy:
    """A port whose connections go to `target`, with the faults that are set at the moment.

    Faults concern both directions unless one is named, connections that are open and those to come.
    It ends TCP on both sides: a silent proxy still acknowledges what arrives in its buffers.
    """

    def __init__(
        self, target: tuple[str, int], splitter: Callable[[], Splitter], rng: random.Random
    ) -> None:
        self.target = target
        self.accepted = 0
        self.port = 0
        self._splitter = splitter
        self._rng = rng
        self._ways = {direction: Way() for direction in Direction}
        self._relayed: set[Relayed] = set()
        self._listening: trio.CancelScope | None = None
        self._nursery: trio.Nursery
        for way in self._ways.values():
            way.open.set()

    @property
    def address(self) -> tuple[str, int]:
        """Where clients connect."""
        return "127.0.0.1", self.port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._relayed)

    def passed(self, direction: Direction) -> int:
        """Return the number of bytes handed on so far."""
        return self._ways[direction].passed

    def latency(
        self, seconds: float, jitter: float = 0.0, *, direction: Direction | None = None
    ) -> None:
        """Delay every message by `seconds` and up to `jitter` more; their order is kept."""
        for way in self._chosen(direction):
            way.latency, way.jitter = seconds, jitter

    def bandwidth(self, rate: float, *, direction: Direction | None = None) -> None:
        """Let `rate` bytes pass in a second, on each connection."""
        for way in self._chosen(direction):
            way.bandwidth = rate

    def blackhole(self, direction: Direction | None = None) -> None:
        """Let nothing pass; what is held comes through after `heal`, as TCP would send it again."""
        for way in self._chosen(direction):
            if way.open.is_set():
                way.open = trio.Event()

    def drop_next(
        self, is_wanted: Callable[[bytes], bool], count: int = 1, *,
        direction: Direction = Direction.DOWN,
    ) -> Loss:
        """Lose the next `count` messages for which the predicate holds.

        What a message is, the proxy's splitter says (`RespSplitter` for Redis).
        """
        loss = Loss(is_wanted, count)
        self._ways[direction].losses.append(loss)
        return loss

    def reset(self) -> int:
        """End every open connection with RST; return how many there were."""
        gone = list(self._relayed)
        for relayed in gone:
            relayed.abort()
        return len(gone)

    def close_all(self) -> int:
        """End every open connection with FIN; return how many there were."""
        gone = list(self._relayed)
        for relayed in gone:
            relayed.scope.cancel()
        return len(gone)

    def down(self) -> None:
        """Refuse new connections; those that are open stay (see `reset`)."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def up(self) -> None:
        """Accept connections again, on the same port."""
        if self._listening is None:
            await self._nursery.start(self._listen)

    async def heal(self) -> None:
        """Have no fault any more: what was held passes, and connections are accepted."""
        for way in self._ways.values():
            way.latency = way.jitter = 0.0
            way.bandwidth = inf
            way.losses.clear()
            way.open.set()
        await self.up()

    def _chosen(self, direction: Direction | None) -> list[Way]:
        return [self._ways[direction]] if direction else list(self._ways.values())

    async def _listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listener = trio.socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await listener.bind(self.address)
        listener.listen(1024)
        self.port = listener.getsockname()[1]
        with trio.CancelScope() as self._listening, listener:
            task_status.started()
            while True:
                client, _ = await listener.accept()
                self.accepted += 1
                self._nursery.start_soon(self._serve, trio.SocketStream(client))

    async def _serve(self, client: trio.SocketStream) -> None:
        async with client:
            try:
                server = await trio.open_tcp_stream(*self.target)
            except OSError:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                return
            async with server:
                relayed = Relayed(client, server)
                self._relayed.add(relayed)
                try:
                    with relayed.scope:
                        async with trio.open_nursery() as both:
                            both.start_soon(self._relay, relayed, Direction.UP)
                            both.start_soon(self._relay, relayed, Direction.DOWN)
                finally:
                    self._relayed.discard(relayed)

    async def _relay(self, relayed: Relayed, direction: Direction) -> None:
        ends = (relayed.client, relayed.server)
        source, sink = ends if direction is Direction.UP else ends[::-1]
        way = self._ways[direction]
        put, take = trio.open_memory_channel[tuple[float, bytes]](IN_FLIGHT)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._deliver, take, sink, way)
                async with put:
                    await self._receive(source, put, way)
        except* (trio.BrokenResourceError, OSError):
            relayed.abort()  # an end was reset, so the other one is

    async def _receive(
        self, source: trio.SocketStream, put: trio.MemorySendChannel[tuple[float, bytes]], way: Way
    ) -> None:
        splitter, last = self._splitter(), -inf
        while data := await source.receive_some(READ_SIZE):
            for message in splitter.feed(data):
                if not way.loses(message):
                    delay = way.latency + self._rng.uniform(0.0, way.jitter)
                    last = max(last, trio.current_time() + delay)
                    await put.send((last, message))

    async def _deliver(
        self, take: trio.MemoryReceiveChannel[tuple[float, bytes]], sink: trio.SocketStream,
        way: Way,
    ) -> None:
        async with take:
            async for due, message in take:
                await trio.sleep_until(due)
                for piece in _pieces(message, way.bandwidth):
                    await way.open.wait()
                    way.passed += len(piece)
                    await sink.send_all(piece)
                    if way.bandwidth < inf:
                        await trio.sleep(len(piece) / way.bandwidth)
            await way.open.wait()
            with suppress(OSError, trio.BrokenResourceError):
                await sink.send_eof()


def _pieces(message: bytes, bandwidth: float) -> list[bytes]:
    """Cut what would take longer than 50 ms, so that the rate is smooth and may change."""
    size = len(message) if bandwidth == inf else max(1, int(bandwidth / 20))
    return [message[at : at + size] for at in range(0, len(message), size or 1)]


@asynccontextmanager
async def open_proxy(
    target: tuple[str, int], *, splitter: Callable[[], Splitter] = Chunks, seed: int = 1,
) -> AsyncGenerator[Proxy]:
    """A proxy to host and port `target` on a free port of 127.0.0.1.

    :param splitter: makes what cuts each stream into messages: `RespSplitter` for Redis.
    :param seed: of the jitter.
    """
    proxy = Proxy(target, splitter, random.Random(seed))
    async with trio.open_nursery() as nursery:
        proxy._nursery = nursery
        await proxy.up()
        yield proxy
        nursery.cancel_scope.cancel()
