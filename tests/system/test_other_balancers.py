"""HAProxy and nginx, started with what `render` prints, in front of real nodes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jwt
import pytest
from attrs import frozen
from websockets import Origin
from websockets.sync.client import ClientConnection, connect

from tests.cluster_process import await_that
from tests.node_process import OPEN_NODE, SECRET, NodeProcess, clean_environment, running_node
from tests.servers.balancers import haproxy_program, nginx_command, statistics
from tests.servers.standalone import free_port

both = pytest.mark.parametrize("balancer", ["haproxy", "nginx"])

NODE = """
[node]
max_connections = 1000

[proxy]
trusted_proxies = ["127.0.0.1/32"]
""" + OPEN_NODE.replace("[client]", "[client]\nPINGS").replace('allowed_origins = ["*"]\n', "")


@frozen
class Site:
    """Nodes and a balancer in front of them."""

    nodes: list[NodeProcess]
    port: int
    directory: Path

    @contextmanager
    def connect(
        self, *, path: str = "", source: str = "127.0.0.1", user: str = ""
    ) -> Iterator[ClientConnection]:
        """A client that is connected through the balancer, and welcomed by a node."""
        with connect(
            f"ws://127.0.0.1:{self.port}/connection/websocket{path}", proxy=None,
            compression=None, source_address=(source, 0), open_timeout=10,
            # As a browser says it of a page from the same place.
            origin=Origin(f"http://127.0.0.1:{self.port}"),
        ) as client:
            token = jwt.encode({"sub": user}, SECRET, "HS256") if user else ""
            client.send(json.dumps({"id": 1, "connect": {"token": token}}))
            assert "connect" in json.loads(client.recv(timeout=10))
            yield client

    def loads(self) -> list[int]:
        """Clients of each node that runs."""
        return [
            node.call("info")["nodes"][0]["num_clients"]
            for node in self.nodes if node.process.poll() is None
        ]

    def home(self, path: str) -> int:
        """Return which node takes a client of this path, who leaves again."""
        before = self.loads()
        with self.connect(path=path):
            (number,) = [n for n, load in enumerate(self.loads()) if load > before[n]]
        await_that(self.loads, lambda loads: loads == before)
        return number


def rendered(
    directory: Path, balancer: str, toml: str, nodes: list[NodeProcess], port: int
) -> Path:
    config = directory / "cluster.toml"
    config.write_text(toml)
    file = directory / f"{balancer}.cfg"
    addresses = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    subprocess.run(
        [sys.executable, "-m", "wsmesh", "render", balancer, "--config", str(config), "--nodes",
         addresses, "--listen", f"127.0.0.1:{port}", "--output", str(file)],
        env=clean_environment(), check=True, capture_output=True, timeout=30,
    )
    return file


@contextmanager
def site(
    directory: Path, balancer: str, strategy: str, *, affinity: str = "", pings: str = "",
    agents: bool = False,
) -> Iterator[Site]:
    """Start three nodes and a balancer as rendered, and wait until it has clients everywhere."""
    toml = NODE.replace("PINGS", pings)
    with ExitStack() as stack:
        ports = [free_port() for _ in range(3)] if agents else [0, 0, 0]
        starting = []
        for number, port in enumerate(ports):
            home = directory / f"node-{number}"
            home.mkdir()
            agent = f'\n[agent_check]\naddress = "127.0.0.1:{port}"\n' if agents else ""
            starting.append(running_node(home, toml + agent))
        with ThreadPoolExecutor(3) as pool:
            nodes = list(pool.map(stack.enter_context, starting))
        port = free_port()
        placed = f'{toml}\n[balancer]\nstrategy = "{strategy}"\n{affinity}'
        file = rendered(directory, balancer, placed, nodes, port)
        if agents:
            # One port each, where all share this host.
            lines = file.read_text().splitlines()
            for number, agent_port in enumerate(ports, 1):
                lines = [
                    f"{line} agent-check agent-port {agent_port} agent-inter 200ms"
                    if f"server node-{number} " in line else line
                    for line in lines
                ]
            file.write_text("\n".join(lines) + "\n")
        extra = directory / "extra.cfg"
        extra.write_text(f"global\n    stats socket {directory}/stats mode 600\n")
        command = (
            [haproxy_program(), "-db", "-f", str(file), "-f", str(extra)]
            if balancer == "haproxy" else nginx_command(directory, file)
        )
        process = subprocess.Popen(command)
        stack.callback(_stop, process)
        await_that(lambda: _answers(port), bool)
        yield Site(nodes, port, directory)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as asking:
            asking.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return asking.recv(1024).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def alive(client: ClientConnection) -> bool:
    client.send('{"id":9,"rpc":{"method":"no"}}')
    while "id" not in (answer := json.loads(client.recv(timeout=10))):
        continue
    return bool(answer["id"] == 9)


@both
def test_clients_spread_and_keep_their_address(tmp_path: Path, balancer: str) -> None:
    with site(tmp_path, balancer, "round_robin") as placed, ExitStack() as stack:
        for number in range(9):
            source = f"127.0.0.{10 + number}"
            stack.enter_context(placed.connect(source=source, user=f"user-{number}"))
        assert placed.loads() == [3, 3, 3]
        found: dict[str, str] = {}
        for node in placed.nodes:
            for number in range(9):
                user = f"user-{number}"
                for each in node.call("connections", user=user)["connections"].values():
                    found[user] = each["address"]
        assert found == {f"user-{number}": f"127.0.0.{10 + number}" for number in range(9)}


@both
@pytest.mark.parametrize("name", ["room", "my-room"])
def test_a_key_stays_on_its_node(tmp_path: Path, balancer: str, name: str) -> None:
    affinity = f'[affinity]\nkeys = ["query:{name}", "ip"]\n'
    with site(tmp_path, balancer, "rendezvous", affinity=affinity) as placed:
        rooms = [f"?{name}={number}" for number in range(8)]
        first = [placed.home(room) for room in rooms]
        assert [placed.home(room) for room in rooms] == first
        assert len(set(first)) > 1


@both
def test_a_node_that_stops_or_dies_gets_nobody_and_nobody_notices(
    tmp_path: Path, balancer: str
) -> None:
    with site(tmp_path, balancer, "round_robin") as placed, ExitStack() as stack:
        held = [stack.enter_context(placed.connect()) for _ in range(3)]
        placed.nodes[0].process.send_signal(signal.SIGTERM)
        for _ in range(12):
            stack.enter_context(placed.connect())
        await_that(lambda: placed.nodes[0].process.poll(), lambda status: status == 0)
        os.kill(placed.nodes[1].pid, signal.SIGKILL)
        placed.nodes[1].process.wait()
        more = [stack.enter_context(placed.connect()) for _ in range(6)]
        assert all(map(alive, more))
        assert placed.nodes[2].call("info")["nodes"][0]["num_clients"] >= 6
        assert any(_survives(client) for client in held)


def _survives(client: ClientConnection) -> bool:
    try:
        return alive(client)
    except Exception as error:  # whatever a client of a node that is gone sees
        assert "close" in type(error).__name__.lower() or isinstance(error, OSError)
        return False


@both
def test_a_connection_without_messages_stays_open(tmp_path: Path, balancer: str) -> None:
    """Nothing passes but pings, for longer than the rendered timeout of 2 x (0.5 s + 0.4 s)."""
    pings = 'ping_interval = "500ms"\npong_timeout = "400ms"\n'
    with site(tmp_path, balancer, "p2c", pings=pings) as placed, placed.connect() as client:
        until = time.monotonic() + 3.0
        heard = 0
        while time.monotonic() < until:
            assert client.recv(timeout=10) == "{}"
            client.send("{}")
            heard += 1
        assert heard >= 5


def test_haproxy_goes_by_what_the_agents_say(tmp_path: Path) -> None:
    with site(tmp_path, "haproxy", "least_load", agents=True) as placed, ExitStack() as stack:
        stats = tmp_path / "stats"

        def agents(field: str) -> dict[str, str]:
            found = statistics(stats)
            return {name: found[name][field] for name in ("node-1", "node-2", "node-3")}

        await_that(lambda: agents("agent_status"),
                   lambda found: set(found.values()) == {"L7OK"})
        client = stack.enter_context(placed.connect())
        (number,) = [n for n, load in enumerate(placed.loads()) if load]
        os.kill(placed.nodes[number].pid, signal.SIGTERM)
        name = f"node-{number + 1}"
        await_that(lambda: agents("status")[name], lambda status: not status.startswith("UP"))
        for _ in range(6):
            stack.enter_context(placed.connect())
        assert client is not None
        assert statistics(stats)["BACKEND"]["status"] == "UP"


def test_what_is_lost_is_told_on_the_terminal() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "wsmesh", "render", "nginx", "--nodes", "10.0.0.1:8000"],
        env=clean_environment(), capture_output=True, text=True, check=True, timeout=30,
    )
    assert "wsmesh: lost: nodes are not checked" in said.stderr
    assert "server 10.0.0.1:8000 weight=100" in said.stdout
    refused = subprocess.run(
        [sys.executable, "-m", "wsmesh", "render", "nginx"], env=clean_environment(),
        capture_output=True, text=True, check=False, timeout=30,
    )
    assert refused.returncode == 2 and "--nodes" in refused.stderr


