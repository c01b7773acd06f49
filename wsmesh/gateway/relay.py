"""Relaying bytes between two sockets: for nodes on other hosts, and behind TLS that ends here.

One epoll object and one task for all of them, as in a node's pump; a message costs one read and
one write. Hot path, measured by `python -m bench relay`.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress

import trio
from attrs import define, field

from wsmesh.gateway.reading import End
from wsmesh.ingress.tls import TLSSocket

SOCKETS = 256
"""Sockets served before other tasks get their turn."""

SWEEP = 1.0
"""Seconds between looks for idle connections."""

_UNWATCHED = -1

_IN, _OUT, _GONE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR


@define(eq=False)
class _Side:
    """One of the two sockets of a relayed connection.

    :ivar rest: what the socket has not taken yet; while there is some, the other is not read.
    :ivar has_ended: its peer sends nothing more.
    """

    sock: End
    fd: int
    pair: _Pair
    other: _Side = field(init=False)
    rest: bytes = b""
    has_ended: bool = False
    is_shut: bool = False
    mask: int = _UNWATCHED

    @property
    def is_stuck(self) -> bool:
        return bool(self.rest) or (isinstance(self.sock, TLSSocket) and self.sock.unsent > 0)


@define(eq=False)
class _Pair:
    done: trio.Event = field(factory=trio.Event)
    used_at: float = 0.0


@define(eq=False, slots=True)
class Relay:
    """Relays for any number of pairs of sockets.

    :param buffer: bytes read at a time, and so held per direction at most.
    :param idle_timeout: seconds without a byte after which a pair is given up.
    :ivar bytes: bytes relayed, both ways.
    :ivar reads: how often something was read.
    """

    _idle_timeout: float
    _size: int
    bytes: int = 0
    reads: int = 0
    timed_out: int = 0
    _poller: select.epoll = field(factory=select.epoll, init=False)
    _sides: dict[int, _Side] = field(factory=dict, init=False)
    _buffer: memoryview = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._buffer = memoryview(bytearray(self._size))

    def __len__(self) -> int:
        return len(self._sides) // 2

    async def carry(self, one: End, other: End) -> None:
        """Relay between two connected, non-blocking sockets until both directions have ended.

        The end of one direction is passed on, the other goes on. Both are closed afterwards, also
        when this is cancelled.
        """
        pair = _Pair()
        pair.used_at = trio.current_time()
        sides = [_Side(sock, sock.fileno(), pair) for sock in (one, other)]
        sides[0].other, sides[1].other = sides[1], sides[0]
        try:
            for side in sides:
                side.mask = _IN
                self._poller.register(side.fd, _IN)
                self._sides[side.fd] = side
            for side in sides:
                # Of TLS, something may have been decrypted or wait to be sent already.
                if isinstance(side.sock, TLSSocket):
                    self._read(side)
            await pair.done.wait()
        finally:
            for side in sides:
                self._sides.pop(side.fd, None)
                side.sock.close()  # takes it out of the poller, too

    async def run(self) -> None:
        """Relay until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sweep)
            try:
                while True:
                    ready = self._poller.poll(0, SOCKETS)
                    if not ready:
                        await trio.lowlevel.wait_readable(self._poller)
                        continue
                    self._serve(ready, trio.current_time())
                    await trio.lowlevel.checkpoint()
            finally:
                self._poller.close()

    async def _sweep(self) -> None:
        while True:
            await trio.sleep(SWEEP)
            oldest = trio.current_time() - self._idle_timeout
            for side in tuple(self._sides.values()):
                if side.pair.used_at < oldest and not side.pair.done.is_set():
                    self.timed_out += 1
                    side.pair.done.set()

    def _serve(self, ready: list[tuple[int, int]], now: float) -> None:
        sides = self._sides
        for fd, events in ready:
            side = sides.get(fd)
            if side is None or side.pair.done.is_set():
                continue
            side.pair.used_at = now
            if events & _OUT:
                self._flush(side)
            if events & _IN:
                self._read(side)
            elif events & _GONE:
                self._hung_up(side, is_broken=bool(events & select.EPOLLERR))

    def _hung_up(self, side: _Side, *, is_broken: bool) -> None:
        if is_broken or not side.other.is_stuck:
            side.pair.done.set()
            return
        # What it said last is read when the other has taken what came before. Until then it must
        # be out of the poller, which cannot be told to keep quiet about a hang-up.
        self._poller.unregister(side.fd)
        side.mask = _UNWATCHED

    def _read(self, side: _Side) -> None:
        other = side.other
        sock = side.sock
        try:
            if isinstance(sock, TLSSocket):
                data: bytes | memoryview = sock.recv(self._size)
                if sock.unsent:
                    self._watch(side)
            else:
                data = self._buffer[: sock.recv_into(self._buffer)]
        except BlockingIOError:
            if side.is_stuck:
                self._watch(side)
            return
        except OSError:
            side.pair.done.set()
            return
        if not data:
            side.has_ended = True
            self._pass_end_on(other)
            return
        self.reads += 1
        self.bytes += len(data)
        try:
            sent = other.sock.send(data)  # type: ignore[arg-type]  # TLS takes any buffer too
        except BlockingIOError:
            sent = 0
        except OSError:
            side.pair.done.set()
            return
        if sent < len(data):
            other.rest = bytes(data[sent:])
        if other.is_stuck:
            self._watch(other)

    def _flush(self, side: _Side) -> None:
        try:
            sent = side.sock.send(side.rest)
        except BlockingIOError:
            return
        except OSError:
            side.pair.done.set()
            return
        side.rest = side.rest[sent:]
        if side.is_stuck:
            return
        self._watch(side)
        if side.other.has_ended:
            self._pass_end_on(side)

    def _pass_end_on(self, side: _Side) -> None:
        """The other side said everything: so does this one, once it has sent the rest."""
        if not side.is_stuck and not side.is_shut:
            side.is_shut = True
            with suppress(OSError):
                side.sock.shutdown(socket.SHUT_WR)
            if side.other.is_shut:
                side.pair.done.set()
        self._watch(side.other)

    def _watch(self, side: _Side) -> None:
        """Ask for the events that matter now, of the side and of the one that feeds it."""
        for each in (side, side.other):
            mask = 0 if each.has_ended or each.other.rest else _IN
            if each.is_stuck:
                mask |= _OUT
            if mask == each.mask or (each.mask == _UNWATCHED and not mask):
                continue
            if each.mask == _UNWATCHED:
                self._poller.register(each.fd, mask)
            else:
                self._poller.modify(each.fd, mask)
            each.mask = mask
