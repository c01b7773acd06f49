"""Many client sockets in one epoll set, opened along a script of requests and answers."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Iterable, Sequence

from attrs import define, field

from bench.load.dialects import Dialect, Step

BIND_ADDRESS_NO_PORT = 24
"""IP_BIND_ADDRESS_NO_PORT: the port is chosen at connect, so 4-tuples and not ports run out."""

PORTS_PER_SOURCE = 10_000
"""Sockets of one source address; an address has about 28,000 ephemeral ports by default."""

SOURCES = 200
MAX_EVENTS = 8192
OPEN_TIMEOUT = 60.0
REFUSALS = (b"HTTP/1.1 4", b"HTTP/1.1 5")


class LoadError(Exception):
    """The load could not be applied, or the server answered something else than it should."""


@define(eq=False)
class Client:
    """One socket and how far its script has come."""

    sock: socket.socket
    user: int
    channels: Sequence[str]
    steps: Sequence[Step]
    due: int = 0
    at: int = -1
    received: bytes = b""


@define(eq=False)
class Crowd:
    """The clients of one load process.

    `clients` holds those whose script is complete, in the order they were opened; `opening` the
    others, by file descriptor.
    """

    address: tuple[str, int]
    dialect: Dialect
    poller: select.epoll = field(factory=select.epoll)
    clients: dict[int, Client] = field(factory=dict)
    opening: dict[int, Client] = field(factory=dict)
    failures: dict[str, int] = field(factory=dict)
    _started: int = 0

    def begin(self, user: int, channels: Sequence[str], steps: Sequence[Step], due: int) -> None:
        """Start to connect one client; `advance` carries it on."""
        source = f"127.0.0.{2 + self._started // PORTS_PER_SOURCE % SOURCES}"
        self._started += 1
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((source, 0))
        sock.connect_ex(self.address)
        fd = sock.fileno()
        self.opening[fd] = Client(sock, user, channels, steps, due)
        self.poller.register(fd, select.EPOLLOUT)

    def advance(self, fd: int) -> Client | None:
        """Carry the opening client on; return it when it has finished its script.

        A client that fails is counted in `failures` and dropped.
        """
        client = self.opening[fd]
        try:
            answered = self._hear(client)
        except (LoadError, OSError) as error:
            self._drop(fd, str(error))
            return None
        if not answered:
            return None
        client.received = b""
        client.at += 1
        if client.at < len(client.steps):
            client.sock.send(client.steps[client.at].request)
            return None
        del self.opening[fd]
        self.clients[fd] = client
        return client

    def _hear(self, client: Client) -> bool:
        """Whether the current step is done; raises `LoadError` if it never will be."""
        if client.at < 0:
            if error := client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise LoadError(f"connect: {os.strerror(error)}")
            self.poller.modify(client.sock, select.EPOLLIN)
            return True
        data = client.sock.recv(65536)
        if not data:
            raise LoadError(f"closed after {client.received[:120]!r}")
        client.received += data
        if client.steps[client.at].answer in client.received:
            return True
        if b'"error"' in client.received or client.received[:10] in REFUSALS:
            raise LoadError(f"refused: {client.received[:120]!r}")
        return False

    def _drop(self, fd: int, why: str) -> None:
        client = self.opening.pop(fd)
        self.poller.unregister(fd)
        client.sock.close()
        self.failures[why] = self.failures.get(why, 0) + 1

    def open(
        self, count: int, channel: str, *, first: int = 0, width: int = 64, rate: float = 0.0
    ) -> None:
        """Open clients number `first`.. with at most `width` unfinished at a time.

        :param channel: subscribed to by each, with `{i}` for the client's number; empty: none.
        :param rate: at most so many a second; 0: as fast as they finish.
        :raises LoadError: if any of them fails or the last is not open after a minute.
        """
        # Processes with different clients must not fight for the ports of one source.
        self._started = max(self._started, first)
        begun, target = 0, len(self.clients) + count
        start = time.monotonic()
        while len(self.clients) < target:
            elapsed = time.monotonic() - start
            if elapsed > OPEN_TIMEOUT + (count / rate if rate else 0):
                raise LoadError(f"{target - len(self.clients)} clients did not open in time")
            allowed = count if not rate else min(count, int(elapsed * rate) + 1)
            while begun < allowed and len(self.opening) < width:
                number = first + begun
                channels = [channel.format(i=number)] if channel else []
                steps = self.dialect.script(f"user-{number}", channels)
                self.begin(number, channels, steps, 0)
                begun += 1
            for fd, _ in self.poller.poll(0.05 if not rate else 0.001, MAX_EVENTS):
                if fd in self.opening:
                    self.advance(fd)
                elif fd in self.clients:
                    self.answer(fd)
            if self.failures:
                raise LoadError(f"clients failed to open: {self.failures}")

    def answer(self, fd: int) -> None:
        """Read what an idle client got and answer the server's pings."""
        sock = self.clients[fd].sock
        data = sock.recv(65536)
        if not data:
            raise LoadError("the server closed an idle connection")
        if self.dialect.ping in data:
            sock.send(self.dialect.pong)

    def part(self, fds: Iterable[int], *, deadline: float = 15.0) -> None:
        """Close these clients as a client should: close frame, wait for the server's end.

        :raises LoadError: if the server has not closed them all `deadline` seconds later.
        """
        leaving = {fd: self.clients.pop(fd).sock for fd in list(fds)}
        if self.dialect.goodbye:
            for sock in leaving.values():
                sock.send(self.dialect.goodbye)
            until = time.monotonic() + deadline
            waiting = set(leaving)
            while waiting:
                if time.monotonic() > until:
                    raise LoadError(f"{len(waiting)} connections were not closed by the server")
                for fd, _ in self.poller.poll(0.1, MAX_EVENTS):
                    if fd in waiting and finished(leaving[fd]):
                        self.poller.unregister(fd)
                        waiting.discard(fd)
                    elif fd in self.clients:
                        self.answer(fd)
        for sock in leaving.values():
            sock.close()

    def idle_until(self, fd: int) -> None:
        """Answer pings until `fd`, registered with the poller, is readable."""
        while True:
            for ready, _ in self.poller.poll(-1, MAX_EVENTS):
                if ready == fd:
                    return
                if ready in self.clients:
                    self.answer(ready)


def finished(sock: socket.socket) -> bool:
    """Whether the peer has closed; what it sent before is dropped."""
    try:
        return not sock.recv(65536)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
