"""The open loop of arrivals: clients connect when they are due, ready or not."""

from __future__ import annotations

import socket
import time
from collections import deque

from bench.load.crowd import MAX_EVENTS, Crowd, finished
from bench.load.pacing import SECOND, Recorder, Schedule

LEAD = SECOND // 10
PATIENCE = 10 * SECOND


def storm(crowd: Crowd, *, rate: float, count: int, hold: float) -> dict[str, object]:
    """Connect `count` clients at `rate` a second; each leaves `hold` seconds after its reply.

    Latency runs from the moment a connection was due to its connect reply. With `hold` 0 the
    clients stay. Failures are counted by kind; a client that has no reply 10 s after the last one
    was due counts as `timeout`.
    """
    scripts = [crowd.dialect.script(f"user-{number}", []) for number in range(count)]
    latency, lateness = Recorder(), Recorder()
    leaving: dict[int, socket.socket] = {}
    staying: deque[tuple[int, int]] = deque()
    schedule = Schedule(time.monotonic_ns() + LEAD, rate, count)
    begun, clock = 0, time.monotonic_ns
    give_up = schedule.due(count) + PATIENCE + round(hold * SECOND)
    while begun < count or crowd.opening or staying or leaving:
        now = clock()
        if now > give_up:
            break
        due = schedule.due_by(now)
        while begun < due:
            at = schedule.due(begun)
            crowd.begin(begun, [], scripts[begun], at)
            lateness.record(at, clock())
            begun += 1
        while staying and staying[0][0] <= now:
            fd = staying.popleft()[1]
            client = crowd.clients.pop(fd)
            client.sock.send(crowd.dialect.goodbye)
            leaving[fd] = client.sock
        wait = (schedule.due(begun) - clock()) / SECOND if begun < count else 0.02
        for fd, _ in crowd.poller.poll(max(0.0, min(wait, 0.02)), MAX_EVENTS):
            if fd in crowd.opening:
                client_or_none = crowd.advance(fd)
                if client_or_none is not None:
                    now = clock()
                    latency.record(client_or_none.due, now)
                    if hold:
                        staying.append((now + round(hold * SECOND), fd))
            elif fd in leaving:
                sock = leaving[fd]
                if finished(sock):
                    crowd.poller.unregister(fd)
                    sock.close()
                    del leaving[fd]
            elif fd in crowd.clients:
                crowd.answer(fd)
    failures = dict(crowd.failures)
    if crowd.opening or leaving:
        failures["timeout"] = len(crowd.opening) + len(leaving)
    return {
        "opened": len(latency.samples),
        "failures": failures,
        "latency_ms": latency.summary(),
        "lateness_ms": lateness.summary(),
    }
