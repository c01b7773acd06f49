"""The closed loop: each client publishes, waits for its publication and the reply, and again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence

from bench.load.crowd import MAX_EVENTS, Crowd, LoadError

STALLED = 20.0
READ = 4096


def check_exchange(crowd: Crowd, data: str, *, sample: int, settle: float = 0.02) -> None:
    """Let `sample` clients publish once and parse all that they get.

    :raises LoadError: unless each gets exactly one publication and one reply.
    """
    for fd, client in list(crowd.clients.items())[:sample]:
        channel = client.channels[-1] if client.channels else f"user-{client.user}"
        client.sock.send(crowd.dialect.publish(channel, data))
        received = b""
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            for ready, _ in crowd.poller.poll(settle, MAX_EVENTS):
                if ready == fd:
                    received += client.sock.recv(65536)
            if all(mark in received for mark in crowd.dialect.marks):
                until = min(until, time.monotonic() + settle)
        try:
            crowd.dialect.check(received, channel, data)
        except ValueError as error:
            raise LoadError(str(error)) from None


def exchange(crowd: Crowd, frames: Mapping[int, Sequence[bytes]], seconds: float) -> int:
    """Exchange for `seconds` with one outstanding publication per client; return how many.

    :param frames: what each client (by file descriptor) publishes in turn.
    :raises LoadError: if nothing comes for 20 s.
    """
    publication, reply = crowd.dialect.marks
    ping, pong = crowd.dialect.ping, crowd.dialect.pong
    receive = {fd: crowd.clients[fd].sock.recv for fd in frames}
    send = {fd: crowd.clients[fd].sock.send for fd in frames}
    turns: dict[int, Iterator[bytes]] = {fd: itertools.cycle(each) for fd, each in frames.items()}
    partial: dict[int, bytes] = {}
    poll, clock = crowd.poller.poll, time.monotonic
    for fd, turn in turns.items():
        send[fd](next(turn))
    done, outstanding, end = 0, len(turns), clock() + seconds
    while outstanding:
        events = poll(STALLED, MAX_EVENTS)
        if not events:
            raise LoadError(f"nothing came for {STALLED:g} s, {outstanding} exchanges unfinished")
        running = clock() < end
        for fd, _ in events:
            data = receive[fd](READ)
            if not data:
                raise LoadError("the server closed a connection during the exchange")
            if partial and fd in partial:
                data = partial.pop(fd) + data
            if ping in data:
                send[fd](pong)
                data = data.replace(ping, b"")
            if publication in data and reply in data:
                done += 1
                if running:
                    send[fd](next(turns[fd]))
                else:
                    outstanding -= 1
            else:
                partial[fd] = data
    return done
