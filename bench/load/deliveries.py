"""Fan-out: one client publishes, thousands drain; deliveries are counted at the receivers."""

from __future__ import annotations

import time

from bench.load.crowd import MAX_EVENTS, Client, Crowd, LoadError

STALLED = 20.0
REST = 0.001
READ = 8192

CLOSING_BRACE = 0x7D
"""No part of the mark: after it, no mark can be half received."""


def check_delivery(crowd: Crowd, publisher: Client, channel: str, data: str) -> bytes:
    """Publish once; every subscriber must get the same single frame, which is returned.

    :raises LoadError: if one gets something else, or nothing within 5 s.
    """
    publisher.sock.send(crowd.dialect.publish(channel, data))
    own = publisher.sock.fileno()
    got: dict[int, bytes] = {}
    until = time.monotonic() + 5.0
    while len(got) < len(crowd.clients) - 1 and time.monotonic() < until:
        for fd, _ in crowd.poller.poll(0.05, MAX_EVENTS):
            received = crowd.clients[fd].sock.recv(65536)
            if fd != own:
                got[fd] = got.get(fd, b"") + received
    frames = {frame.replace(crowd.dialect.ping, b"") for frame in got.values()}
    if len(got) != len(crowd.clients) - 1 or len(frames) != 1:
        raise LoadError(f"{len(got)} of {len(crowd.clients) - 1} got {list(frames)[:3]!r}")
    frame = frames.pop()
    if frame.count(crowd.dialect.marks[0]) != 1 or data.encode() not in frame:
        raise LoadError(f"expected one publication, found {frame!r}")
    return frame


def deliver(
    crowd: Crowd, publisher: Client, publish: bytes, subscribers: int,
    *, messages: int, window: int, rest: float = REST,
) -> int:
    """Publish `messages` times with at most `window` not yet delivered to all; return deliveries.

    The receiver rests between drains, as it would if it were another machine: a receiver that
    sleeps in `epoll_wait` on each socket makes every `send` of the server pay for waking it.

    :raises LoadError: if nothing comes for 20 s, or more comes than was published.
    """
    mark, keep = crowd.dialect.marks[0], len(crowd.dialect.marks[0]) - 1
    ping, pong = crowd.dialect.ping, crowd.dialect.pong
    receive = {fd: client.sock.recv for fd, client in crowd.clients.items()}
    carry: dict[int, bytes] = {}
    poll = crowd.poller.poll
    wanted, delivered, published = messages * subscribers, 0, 0
    slack = (window - 1) * subscribers
    own = publisher.sock.fileno()
    while delivered < wanted:
        while published < messages and published * subscribers - delivered <= slack:
            publisher.sock.send(publish)
            published += 1
        if rest:
            time.sleep(rest)
        events = poll(STALLED, MAX_EVENTS)
        if not events:
            raise LoadError(f"nothing came for {STALLED:g} s, {wanted - delivered} missing")
        for fd, _ in events:
            data = receive[fd](READ)
            if not data:
                raise LoadError("the server closed a connection during the fan-out")
            if ping in data:
                crowd.clients[fd].sock.send(pong)
            if fd == own:
                continue
            if carry and fd in carry:
                data = carry.pop(fd) + data
            delivered += data.count(mark)
            if data[-1] != CLOSING_BRACE:
                carry[fd] = data[-keep:]
    if delivered > wanted:
        raise LoadError(f"{delivered} deliveries of {wanted} publications to be made")
    return delivered
