"""One load process: reads orders as JSON lines on stdin, answers each with a JSON line on stdout.

While it waits for orders it answers the pings of its clients.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import sys
import time
from collections.abc import Callable

import click
from attrs import define, field

from bench.load.crowd import Client, Crowd, LoadError
from bench.load.deliveries import check_delivery, deliver
from bench.load.dialects import Centrifugo, Dialect, RawTCP, SocketIO
from bench.load.exchange import check_exchange, exchange
from bench.load.storm import storm

STDIN, STDOUT = 0, 1
SUBSCRIBE_BATCH = 200


@define(eq=False)
class Worker:
    """Carries out orders on one crowd; each method is an order."""

    crowd: Crowd
    publisher: Client | None = None
    frames: dict[int, list[bytes]] = field(factory=dict)

    def open(self, count: int, channel: str = "", first: int = 0, rate: float = 0.0) -> int:
        """Open clients; return how many there are now."""
        self.crowd.open(count, channel, first=first, rate=rate)
        return len(self.crowd.clients)

    def close(self, first: int = 0) -> int:
        """Part from all clients but the `first` oldest; return how many are left."""
        self.crowd.part(list(self.crowd.clients)[first:])
        return len(self.crowd.clients)

    def check(self, data: str, sample: int = 20) -> None:
        """Parse the exchange of a sample of clients in full."""
        check_exchange(self.crowd, data, sample=sample)

    def prepare(self, data: str, each: int = 1) -> None:
        """Make `each` frames (at least one) for every client, to its channels in turn."""
        publish = self.crowd.dialect.publish
        for fd, client in self.crowd.clients.items():
            names = itertools.cycle(client.channels or [f"user-{client.user}"])
            self.frames[fd] = [publish(name, data) for name in itertools.islice(names, each)]

    def exchange(self, seconds: float) -> int:
        """Run the closed loop; return the number of exchanges."""
        return exchange(self.crowd, self.frames, seconds)

    def subscribe(self, pattern: str, first: int, last: int) -> None:
        """Deal the channels `first`..`last` to the clients, many commands at a time."""
        clients = list(self.crowd.clients.values())
        for position, client in enumerate(clients):
            names = [
                pattern.format(c=number)
                for number in range(first, last)
                if number % len(clients) == position
            ]
            client.channels = [*client.channels, *names]
            for start in range(0, len(names), SUBSCRIBE_BATCH):
                self._subscribe_now(client, names[start : start + SUBSCRIBE_BATCH])

    def _subscribe_now(self, client: Client, names: list[str]) -> None:
        client.sock.setblocking(True)
        client.sock.settimeout(20)
        client.sock.sendall(b"".join(self.crowd.dialect.subscribe(name) for name in names))
        received = b""
        while received.count(b'"subscribe":') < len(names):
            data = client.sock.recv(65536)
            if not data or b'"error"' in data:
                raise LoadError(f"subscribe failed: {data[:200]!r}")
            received += data
        if self.crowd.dialect.ping in received:
            client.sock.send(self.crowd.dialect.pong)
        client.sock.setblocking(False)

    def publisher_joins(self) -> None:
        """Open one more client, which will publish."""
        self.crowd.open(1, "", first=1_000_000)
        self.publisher = list(self.crowd.clients.values())[-1]

    def tell(self, content: str) -> None:
        """Send raw bytes (base64) from the first client: the control line of `raw_fanout`."""
        self.publisher = next(iter(self.crowd.clients.values()))
        self.publisher.sock.send(base64.b64decode(content))

    def check_fanout(self, channel: str, data: str) -> str:
        """Publish once, compare what all get; return the frame (base64)."""
        assert self.publisher is not None
        frame = check_delivery(self.crowd, self.publisher, channel, data)
        return base64.b64encode(frame).decode()

    def fanout(
        self, channel: str, data: str, subscribers: int, messages: int, window: int, rest: float
    ) -> int:
        """Publish and count; return the deliveries."""
        assert self.publisher is not None
        publish = self.crowd.dialect.publish(channel, data)
        return deliver(
            self.crowd, self.publisher, publish, subscribers,
            messages=messages, window=window, rest=rest,
        )

    def storm(self, rate: float, count: int, hold: float) -> dict[str, object]:
        """Open-loop arrivals; return latencies and failures."""
        return storm(self.crowd, rate=rate, count=count, hold=hold)


def obey(worker: Worker, line: bytes) -> dict[str, object]:
    """Carry out one order; the answer says how long it took and how much CPU it cost."""
    order = json.loads(line)
    action: Callable[..., object] = getattr(worker, order.pop("do"))
    wall, cpu = time.monotonic(), time.process_time()
    try:
        result = action(**order)
    except (LoadError, OSError) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "result": result,
        "seconds": time.monotonic() - wall,
        "load_cpu": time.process_time() - cpu,
    }


@click.command()
@click.option("--host", default="127.0.0.1")
@click.option("--port", type=int, required=True)
@click.option("--dialect", "name", type=click.Choice(["centrifugo", "socketio", "raw"]))
@click.option("--secret", default="", help="HS256 key of the tokens; empty: no tokens.")
@click.option("--path", default="/connection/websocket", help="With {user} for the user's name.")
def main(host: str, port: int, name: str, secret: str, path: str) -> None:
    """Hold clients of the server at HOST:PORT."""
    authority = f"{host}:{port}"
    dialect: Dialect
    match name:
        case "centrifugo":
            dialect = Centrifugo(authority, path, secret=secret, now=int(time.time()))
        case "socketio":
            dialect = SocketIO(authority)
        case _:
            dialect = RawTCP()
    worker = Worker(Crowd((host, port), dialect))
    worker.crowd.poller.register(STDIN)
    pending = b""
    while True:
        worker.crowd.idle_until(STDIN)
        data = os.read(STDIN, 65536)
        if not data:
            sys.exit(0)
        pending += data
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            os.write(STDOUT, json.dumps(obey(worker, line)).encode() + b"\n")


if __name__ == "__main__":
    main()
