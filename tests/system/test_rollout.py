"""Rolling restarts and two releases side by side: nobody is without a connection for a moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import define, field

from tests.node_process import OPEN_NODE, clean_environment, running_node
from tests.supervisor.up_process import UpProcess, running_up
from wsmesh.client import ClientEvent, Connected, open_client

CLIENTS = 20
QUICK = '\n[node]\nheartbeat_interval = "1s"\nnode_timeout = "3s"\n'


@pytest.fixture
def up(tmp_path: Path) -> Iterator[UpProcess]:
    """Two nodes behind a gateway."""
    with running_up("--nodes", "2") as process:
        yield process


@define(eq=False)
class Crowd:
    """Clients that stay connected, and what they saw since they were."""

    seen: list[list[ClientEvent]] = field(factory=list)

    def forget(self) -> None:
        for events in self.seen:
            events.clear()

    @property
    def lost(self) -> int:
        """How often a client was without a connection."""
        seen = [each for events in self.seen for each in events]
        return sum(isinstance(each, Connected) and not each.moved for each in seen)

    @property
    def moves(self) -> list[int]:
        return [
            sum(isinstance(each, Connected) and each.moved for each in events)
            for events in self.seen
        ]


@asynccontextmanager
async def crowd_at(url: str):
    crowd = Crowd()

    async def stay(task_status: trio.TaskStatus[None]) -> None:
        events: list[ClientEvent] = []
        crowd.seen.append(events)
        async with open_client(url, observe=events.append) as client:
            await client.wait_connected(within=20)
            task_status.started()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            await nursery.start(stay)
        crowd.forget()
        yield crowd
        nursery.cancel_scope.cancel()


def configuration(up: UpProcess, tmp_path: Path, more: str = "") -> Path:
    """A file that names the store which the nodes of `up` share."""
    toml = tmp_path / "cluster.toml"
    toml.write_text(
        OPEN_NODE + QUICK + more
        + f'\n[redis]\nurl = "embedded"\nembedded_dir = "{up.directory}/redis"\n'
    )
    return toml


async def cluster(toml: Path, *words: str, fails: bool = False) -> str:
    done = await trio.to_thread.run_sync(lambda: subprocess.run(
        [sys.executable, "-m", "wsmesh", "cluster", *words, "--config", str(toml)],
        capture_output=True, text=True, timeout=60, env=clean_environment(), check=False,
    ))
    assert bool(done.returncode) is fails, done.stdout + done.stderr
    return done.stdout + done.stderr


async def test_all_nodes_are_restarted_and_nobody_notices(up: UpProcess, tmp_path: Path) -> None:
    toml = configuration(up, tmp_path)
    async with crowd_at(up.url()) as crowd:
        before = [up.pids(name)[-1] for name in ("node-1", "node-2")]
        said = await cluster(toml, "restart")
        assert "[2/2] node-2" in said and "replaced after" in said
        assert not set(before) & {up.pids(name)[-1] for name in ("node-1", "node-2")}
        assert crowd.lost == 0
        assert min(crowd.moves) >= 1
    said = await cluster(toml, "restart", "node-9", fails=True)
    assert "no such node is alive: node-9" in said


async def test_a_release_is_promoted_and_rolled_back(up: UpProcess, tmp_path: Path) -> None:
    toml = configuration(up, tmp_path)
    home = tmp_path / "green"
    home.mkdir()
    green = OPEN_NODE + QUICK.replace("[node]", '[node]\nrelease = "green"\nname = "green"')
    green += f'[redis]\nurl = "embedded"\nembedded_dir = "{up.directory}/redis"\n'
    await cluster(toml, "weigh", "green=0")
    with running_node(home, green) as node:
        async with crowd_at(up.url()) as crowd:
            assert clients_of(await cluster(toml, "releases"), "green") == 0
            await cluster(toml, "promote", "green", "--move", "2s")
            await settle(toml, CLIENTS)
            assert crowd.moves == [1] * CLIENTS
            await cluster(toml, "rollback", "--move", "2s")
            await settle(toml, 0)
            assert crowd.lost == 0
            said = await cluster(toml, "promote", "red", fails=True)
            assert "no node is of release 'red'; there is 0.1.0, green" in said
        assert "Traceback" not in node.said()


async def settle(toml: Path, green: int) -> None:
    with trio.fail_after(20):
        while clients_of(await cluster(toml, "releases"), "green") != green:
            await trio.sleep(0.2)


def clients_of(said: str, release: str) -> int:
    [line] = [each.split() for each in said.splitlines() if each.startswith(release)]
    return int(line[2])
