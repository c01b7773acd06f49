"""A connection whose socket takes nothing: what it holds is counted as long as it holds it."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from wsmesh.channels.fanout import Fanout
from wsmesh.config.sections import CompressionSection, LimitsSection
from wsmesh.ingress.connection import Connection
from wsmesh.ingress.doorway import Doorway
from wsmesh.ingress.isolation import isolated
from wsmesh.ingress.phase import Job
from wsmesh.ingress.pump import Pump
from wsmesh.metrics import Metrics
from wsmesh.security.admission import Admission
from wsmesh.timers import Timers
from wsmesh.wire.deflate import Deflater
from wsmesh.wire.frames import close_frame

BIG = b"x" * 600_000


class Silent:
    """A phase that says and hears nothing."""

    def receive(self, data: bytes) -> None:
        """Ignore it."""

    def lost(self, code: int, reason: str) -> list[Job]:
        return []

    def shut_down(self) -> None:
        """Nobody stops it."""


def doorway() -> Doorway:
    clock = trio.current_time
    fanout = Fanout(now=clock, finished=lambda receivers, seconds: None)
    limits = LimitsSection()
    return Doorway(
        pump=Pump(fanout, 0.0, lambda sent: None), fanout=fanout, timers=Timers(clock),
        metrics=Metrics(version="test"), limits=limits, compression=CompressionSection(),
        deflater=Deflater(1), admission=Admission(limits, 10),
    )  # fmt: skip


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[Doorway, Connection, trio.SocketStream]]:
    """A connection that is served, and the other end of its socket."""
    door = doorway()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection = Connection(door, ours, "", is_secure=False)
    connection.phase = Silent()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(isolated, connection, door)
        nursery.start_soon(door.pump.run)
        nursery.start_soon(door.timers.run)
        await trio.testing.wait_all_tasks_blocked()
        yield door, connection, stream
        nursery.cancel_scope.cancel()
    door.pump.close()


async def read(stream: trio.SocketStream, size: int) -> bytes:
    """Read until there are so many bytes."""
    found = b""
    with trio.fail_after(5):
        while len(found) < size:
            found += await stream.receive_some()
    return found


async def stall(door: Doorway, connection: Connection) -> None:
    """Send more than the socket takes."""
    connection.send(BIG)
    with trio.fail_after(5):
        while not door.stalled:
            await trio.sleep(0.01)


async def test_what_waits_is_counted_until_the_client_has_it() -> None:
    async with connected() as (door, connection, stream):
        await stall(door, connection)
        assert len(door.budget) == 1
        assert 0 < door.budget.held == door.queued_bytes < len(BIG)
        assert await read(stream, len(BIG)) == BIG
        with trio.fail_after(5):
            while door.stalled:
                await trio.sleep(0.01)
        assert (len(door.budget), door.budget.held) == (0, 0)
        connection.send(b"and goes on")
        assert await read(stream, 11) == b"and goes on"


async def test_what_a_client_that_is_lost_waited_for_is_free_at_once() -> None:
    async with connected() as (door, connection, _):
        await stall(door, connection)
        connection.lost()
        assert (len(door.budget), door.budget.held) == (0, 0)


async def test_a_closing_connection_counts_no_longer_and_still_says_why() -> None:
    async with connected() as (door, connection, stream):
        await stall(door, connection)
        connection.send(b"never to be sent")
        connection.end(3000, "bye")
        assert (len(door.budget), door.budget.held) == (0, 0)
        assert door.queued_bytes > 0
        last = close_frame(3000, "bye")
        assert await read(stream, len(BIG + last)) == BIG + last


async def test_a_close_frame_that_stalls_the_socket_is_sent_once() -> None:
    async with connected() as (door, connection, stream):
        connection.send(BIG)
        connection.answer_close(3000, "bye", b"last")
        assert door.stalled
        assert len(door.budget) == 0
        assert await read(stream, len(BIG) + 4) == BIG + b"last"
        with trio.fail_after(5):
            assert await stream.receive_some() == b""
