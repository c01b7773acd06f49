"""The cluster of a chaos run: node processes on one Redis, with a proxy on each of their ways."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field

from tests.chaos.schedule import Fault
from tests.cluster_process import CLUSTER_NODE
from tests.node_process import NodeProcess, running_node
from tests.servers.proxy import Direction, Proxy, open_proxy
from tests.servers.standalone import AOF, RedisServer, running_redis

STARTED_WITHIN = 30.0

NODE = CLUSTER_NODE.replace(
    "[client]\n", '[client]\nping_interval = "1s"\npong_timeout = "900ms"\n'
)


@define(eq=False, kw_only=True)
class Place:
    """A node's place: its ports stay when its process is another one.

    :ivar life: which process it is, from 1.
    """

    number: int
    home: Path
    port: int
    mesh_port: int
    redis: Proxy
    mesh: Proxy
    life: int = 0
    node: NodeProcess | None = None
    _held: ExitStack = field(factory=ExitStack)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    @property
    def name(self) -> str:
        """As the history calls it."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start a process here; returns when it is ready."""
        self.life += 1
        directory = self.home / f"life-{self.life}"
        directory.mkdir(parents=True)
        toml = NODE.replace("NAME", f"node-{self.number}")
        toml = toml.replace("URL", f"redis://127.0.0.1:{self.redis.port}") + (
            f'\n[cluster]\naddress = "127.0.0.1:{self.mesh_port}"\n'
            f'advertise = "127.0.0.1:{self.mesh.port}"\n'
        )
        words = ("--port", str(self.port))
        self._held = ExitStack()
        self.node = await trio.to_thread.run_sync(
            lambda: self._held.enter_context(running_node(directory, toml, words=words))
        )

    async def kill(self) -> None:
        """End the process without a word."""
        assert self.node is not None
        self.node.process.kill()
        await trio.to_thread.run_sync(self.node.process.wait)
        await self.forget()

    async def drain(self) -> int:
        """Have the process stop; return its exit status."""
        node = self.node
        assert node is not None
        status = await trio.to_thread.run_sync(node.stop)
        await self.forget()
        return status

    async def forget(self) -> None:
        """Let go of a process that has ended, or end it."""
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._held.close)
        self.node = None

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self.node is not None
        self.node.process.send_signal(number)

    def said(self) -> str:
        """Return what all its processes wrote."""
        return "".join(
            log.read_text(errors="replace") for log in sorted(self.home.glob("life-*/node.log"))
        )


@define(eq=False)
class Site:
    """Places; the last one is empty until a node is added."""

    places: list[Place]
    redis: RedisServer
    problems: list[str] = field(factory=list)

    async def befall(self, fault: Fault) -> None:
        """Have a fault, from its beginning to its end."""
        place = self.places[fault.node]
        match fault.kind:
            case "kill":
                await place.kill()
                await trio.sleep(fault.lasts)
                await place.start()
            case "drain":
                await self._drain(place)
                await trio.sleep(fault.lasts)
                await place.start()
            case "add and remove":
                await place.start()
                await trio.sleep(fault.lasts)
                await self._drain(place)
            case "pause" | "stop":
                place.send(signal.SIGSTOP)
                try:
                    await trio.sleep(fault.lasts)
                finally:
                    place.send(signal.SIGCONT)
            case "reset redis":
                place.redis.reset()
                await trio.sleep(fault.lasts)
                place.redis.reset()
            case kind:
                proxy = place.mesh if kind == "cut from peers" else place.redis
                _impair(kind, proxy)
                try:
                    await trio.sleep(fault.lasts)
                finally:
                    if kind.startswith("cut"):
                        proxy.reset()
                    await proxy.heal()

    async def _drain(self, place: Place) -> None:
        status = await place.drain()
        if status:
            self.problems.append(f"node-{place.number} ended with {status} when it was drained")


def _impair(kind: str, proxy: Proxy) -> None:
    match kind:
        case "cut from redis" | "cut from peers":
            proxy.blackhole()
        case "half-open redis":
            proxy.blackhole(Direction.DOWN)
        case "slow redis":
            proxy.latency(0.1, 0.1)
        case "narrow redis":
            proxy.bandwidth(20_000.0)


@asynccontextmanager
async def open_site(directory: Path, nodes: int) -> AsyncGenerator[Site]:
    """Start a Redis and nodes; the place after the last one is for a node that is added."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis(AOF))
        places: list[Place] = []

        async def end() -> None:
            for place in places:
                if place.node is not None:
                    await place.forget()

        for number in range(nodes + 1):
            mesh_port = _free_port()
            places.append(Place(
                number=number, home=directory / f"node-{number}", port=_free_port(),
                mesh_port=mesh_port,
                redis=await stack.enter_async_context(open_proxy(redis.address, seed=number)),
                mesh=await stack.enter_async_context(
                    open_proxy(("127.0.0.1", mesh_port), seed=number)
                ),
            ))
        stack.push_async_callback(end)
        async with trio.open_nursery() as nursery:
            for place in places[:-1]:
                nursery.start_soon(place.start)
        site = Site(places, redis)
        await _formed(site, nodes)
        yield site


async def _formed(site: Site, nodes: int) -> None:
    with trio.fail_after(STARTED_WITHIN):
        for place in site.places[:-1]:
            node = place.node
            assert node is not None
            while len(await trio.to_thread.run_sync(_alive, node.call)) < nodes:
                await trio.sleep(0.1)


def _alive(call: Callable[[str], dict[str, list[dict[str, str]]]]) -> list[str]:
    return [each["name"] for each in call("info")["nodes"] if each["state"] == "alive"]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
