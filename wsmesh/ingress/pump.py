"""The pump: one epoll object and one task read for every socket of the node.

Hot path, measured by `python -m bench echo` and `python -m bench fanout`. A turn reads up to
`SOCKETS` ready sockets and executes what they said, serves a slice of each waiting fan-out, sends
what the turn produced, and yields to Trio. Nothing in a turn waits.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Protocol

import trio

from wsmesh.channels.channel import Sink
from wsmesh.channels.fanout import Fanout

SOCKETS = 256
"""Sockets read in one turn, so that other tasks get their share."""

AT_ONCE = 48
"""Sockets read before what they said is sent, while they are still warm in the caches: with 2,000
busy clients worth some 5 % against reading all 256 first."""

DELIVERIES = 2048
"""Connections with something to send after which reading stops until they have got it."""


READ = 32 * 1024
"""Bytes read at a time: several typical bursts, and small enough to be fair."""


class Source(Protocol):
    """Something readable."""

    def on_readable(self) -> None:
        """Read what is there, once, without waiting."""

    def on_fault(self, fault: Exception) -> None:
        """Take the exception that `on_readable` or `flush` raised; must not raise."""


class Pump:
    """Reads and writes for all sockets.

    :param fanout: whose dirty connections are flushed.
    :param batch_delay: seconds a frame may wait for company (`[batch] delay`).
    :param count_sent: called with the bytes sent.
    :ivar buffer: what sockets are read into, one after the other. A new buffer for each read would
        be cut down to the few bytes that came, which costs the allocator more than copying these.
    """

    def __init__(
        self, fanout: Fanout, batch_delay: float, count_sent: Callable[[int], None]
    ) -> None:
        self.buffer = memoryview(bytearray(READ))
        self._poller = select.epoll()
        self._sources: dict[int, Source] = {}
        self._fanout = fanout
        self._batch_delay = batch_delay
        self._count_sent = count_sent
        self._batch_started = trio.Event()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._bell, select.EPOLLIN)
        fanout.wake = self._ring

    def __len__(self) -> int:
        return len(self._sources)

    def sources(self) -> tuple[Source, ...]:
        """Return everything that is read from."""
        return tuple(self._sources.values())

    def register(self, fd: int, source: Source) -> None:
        """Read from `fd` whenever it is readable."""
        self._poller.register(fd, select.EPOLLIN | select.EPOLLRDHUP)
        self._sources[fd] = source

    def forget(self, fd: int) -> None:
        """Stop reading from `fd`; to be called before it is closed."""
        if self._sources.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def pause(self, fd: int) -> None:
        """Read nothing from `fd` for now."""
        self._poller.modify(fd, 0)

    def resume(self, fd: int) -> None:
        """Read from `fd` again."""
        self._poller.modify(fd, select.EPOLLIN | select.EPOLLRDHUP)

    def shrink(self) -> None:
        """Let go of the room of sockets that are gone: a dict never does so by itself."""
        self._sources = dict(self._sources)

    def close(self) -> None:
        """Release the poller."""
        self._poller.close()
        os.close(self._bell)

    async def run(self) -> None:
        """Pump until cancelled."""
        fanout = self._fanout
        poll = self._poller.poll
        while True:
            read = 0
            while True:
                fanout.begin_turn()
                ready = poll(0, AT_ONCE)
                read += len(ready)
                self._read(ready)
                is_waiting = fanout.step()
                self._send()
                # Asking again costs one system call, going through Trio's loop many: as long as
                # there is something to read, and within a turn's bound, stay.
                if is_waiting or not ready or read >= SOCKETS:
                    break
            if is_waiting or ready:
                await trio.lowlevel.checkpoint()
            else:
                fanout.is_awake = False
                await trio.lowlevel.wait_readable(self._poller)

    async def run_batches(self) -> None:
        """Send batches when their delay is over; needed only with `[batch] delay`."""
        while True:
            await self._batch_started.wait()
            self._batch_started = trio.Event()
            await trio.sleep(self._batch_delay)
            self._flush_all()

    def _read(self, ready: list[tuple[int, int]]) -> None:
        sources = self._sources
        dirty = self._fanout.dirty
        for fd, _ in ready:
            source = sources.get(fd)
            if source is None:
                if fd == self._bell:
                    os.eventfd_read(self._bell)
                continue
            try:
                source.on_readable()
            except Exception as fault:  # noqa: BLE001  handed to the connection's own nursery
                source.on_fault(fault)
            if len(dirty) > DELIVERIES:
                break

    def _send(self) -> None:
        fanout = self._fanout
        if self._batch_delay and fanout.dirty:
            urgent, fanout.urgent = fanout.urgent, []
            self._flush(urgent)
            self._batch_started.set()
        else:
            self._flush_all()
        fanout.end_turn()

    def _flush_all(self) -> None:
        fanout = self._fanout
        while fanout.dirty:
            dirty, fanout.dirty = fanout.dirty, []
            self._flush(dirty)

    def _flush(self, dirty: list[Sink]) -> None:
        sent = 0
        for connection in dirty:
            try:
                sent += connection.flush()
            except Exception as fault:  # noqa: BLE001  handed to the connection's own nursery
                connection.on_fault(fault)
        self._count_sent(sent)

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

