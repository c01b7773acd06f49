"""An echo server on the node's own pump, connections and frames, for conformance suites."""

from __future__ import annotations

import argparse
import socket
from functools import partial

import trio

from wsmesh.channels.fanout import Fanout
from wsmesh.config.sections import CompressionSection, LimitsSection
from wsmesh.config.values import ByteSize
from wsmesh.ingress.connection import Connection
from wsmesh.ingress.doorway import Doorway
from wsmesh.ingress.isolation import isolated
from wsmesh.ingress.phase import Job
from wsmesh.ingress.pump import Pump
from wsmesh.metrics import Metrics
from wsmesh.security.admission import Admission
from wsmesh.timers import Timers
from wsmesh.wire.deflate import Deflater, Inflater
from wsmesh.wire.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameParser,
    close_frame,
    frame,
)
from wsmesh.wire.handshake import accept
from wsmesh.wire.http import RequestParser

STORED = Deflater(0)
"""For binary messages, which a node never sends: the suite's big ones would only cost time."""

BIG = 32 * 1024 * 1024


class EchoPhase:
    """Answers the handshake, then sends every message back."""

    def __init__(self, connection: Connection, doorway: Doorway) -> None:
        self._connection = connection
        self._doorway = doorway
        self._http: RequestParser | None = RequestParser(doorway.limits)
        self._parser: FrameParser | None = None

    def receive(self, data: bytes) -> None:
        if self._http is not None:
            request = self._http.feed(data)
            if request is None:
                return
            self._http = None
            handshake = accept(request, compression=self._doorway.compression, subprotocols=())
            inflater = None if handshake.deflate is None else Inflater(handshake.deflate)
            self._parser = FrameParser(self._doorway.limits, inflater)
            self._connection.dialect = int(inflater is not None)
            self._connection.send(handshake.response)
            data = request.rest
        assert self._parser is not None
        for kind, payload in self._parser.feed(data):
            if kind == TEXT:
                self._connection.send_text(payload)
            elif kind == BINARY:
                self._connection.send(self._binary(payload))
            elif kind == PING:
                self._connection.send(frame(PONG, payload))
            elif kind == CLOSE:
                code, reason = payload
                answer = close_frame(code, "") if code != 1005 else frame(CLOSE, b"")
                self._connection.answer_close(code, reason, answer)
                return

    def shut_down(self) -> None:
        self._connection.lost()

    def _binary(self, payload: bytes) -> bytes:
        if self._connection.dialect & 1:
            return frame(BINARY, STORED.deflate(payload), rsv1=True)
        return frame(BINARY, payload)

    def lost(self, code: int, reason: str) -> list[Job]:
        return []


class EchoDoor:
    """Accepts connections for the echo."""

    def __init__(self, listener: socket.socket, doorway: Doorway, nursery: trio.Nursery) -> None:
        self._listener = listener
        self._doorway = doorway
        self._nursery = nursery

    def on_readable(self) -> None:
        sock, name = self._listener.accept()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self._doorway, sock, name[0], is_secure=False)
        connection.phase = EchoPhase(connection, self._doorway)
        self._doorway.connections += 1
        self._nursery.start_soon(isolated, connection, self._doorway)

    def on_fault(self, fault: Exception) -> None:
        raise fault


async def serve(port: int) -> None:
    clock = trio.current_time
    metrics = Metrics(version="echo")
    fanout = Fanout(now=clock, finished=lambda receivers, seconds: None)
    pump = Pump(fanout, 0.0, lambda sent: None)
    timers = Timers(clock)
    limits = LimitsSection(
        message_size=ByteSize(BIG), fragments=1_000_000, send_queue_bytes=ByteSize(4 * BIG)
    )
    compression = CompressionSection(enabled=True, min_size=ByteSize(0))
    doorway = Doorway(
        pump=pump, fanout=fanout, timers=timers, metrics=metrics, limits=limits,
        compression=compression, deflater=Deflater(compression.level),
        admission=Admission(limits, 1000),
    )
    listener = socket.create_server(("127.0.0.1", port))
    listener.setblocking(False)
    async with trio.open_nursery() as nursery:
        pump.register(listener.fileno(), EchoDoor(listener, doorway, nursery))
        nursery.start_soon(timers.run)
        print(f"echo on port {listener.getsockname()[1]}", flush=True)
        await pump.run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    trio.run(partial(serve, parser.parse_args().port))
