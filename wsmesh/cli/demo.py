"""`demo`: a cluster of three nodes, whose clients lose a connection, a node, and no message."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import trio
from attrs import define, field

from wsmesh.cli.cluster_story import tell_cluster_story
from wsmesh.cli.story import StepFailed, Teller, tell_story

USUAL_PORT = 8000
START_WITHIN = 60.0
STOP_WITHIN = 40.0
TOLD_ON_FAILURE = 20
"""Newest log lines of the cluster that are shown when the story fails."""


@click.command(epilog="""\b
Examples:
  python -m wsmesh demo           leaves the cluster running, to try things out
  python -m wsmesh demo --exit    ends with the story: 0 if every step held
""")
@click.option("--exit", "ends", is_flag=True, help="End after the story; so without a terminal.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), metavar="PORT",
    help=f"The gateway's port; otherwise {USUAL_PORT}, or any free one when that is taken.",
)
def demo(ends: bool, port: int | None) -> None:
    """Watch real clients lose a connection, then their node, and recover what they missed."""
    stays = not ends and sys.stdout.isatty()
    trio.run(_until_told_to_stop, _free_port() if port is None else port, stays)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", USUAL_PORT))
        except OSError:
            return 0
    return USUAL_PORT


async def _until_told_to_stop(port: int, stays: bool) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_play, port, stays, nursery.cancel_scope.cancel)
            async for _ in signals:
                click.echo("\nstopping the cluster ...")
                nursery.cancel_scope.cancel()


async def _play(port: int, stays: bool, done: Callable[[], None]) -> None:
    teller = Teller()
    teller.heading("A gateway and three nodes start")
    with tempfile.TemporaryDirectory(prefix="wsmesh-demo-") as directory:
        async with _open_cluster(Path(directory), port) as cluster:
            for name, pid in sorted(cluster.pids.items()):
                where = f"listens on 127.0.0.1:{cluster.port}, " if name == "gateway" else ""
                teller.say(name, f"{where}process {pid}", colour="green")
            try:
                await tell_story(cluster.port, teller)
                await tell_cluster_story(cluster, teller)
            except (StepFailed, BaseExceptionGroup):
                click.echo("\n".join(["the cluster's log ends with", *cluster.newest]), err=True)
                raise
            if stays:
                _what_next(cluster.port)
                cluster.show = _show
                await cluster.ended.wait()
    done()


@define(eq=False, kw_only=True)
class _ClusterProcesses:
    """`python -m wsmesh up` in dev mode as a child process, and its children.

    :ivar port: where the gateway listens, 0 until everything runs.
    :ivar pids: processes by name, as they are now.
    :ivar newest: the end of the log.
    :ivar show: told each further line of the log.
    """

    process: trio.Process
    config: Path
    port: int = 0
    pids: dict[str, int] = field(factory=dict)
    newest: deque[str] = field(factory=lambda: deque(maxlen=TOLD_ON_FAILURE))
    show: Callable[[str], None] = lambda line: None
    settled: trio.Event = field(factory=trio.Event)
    ended: trio.Event = field(factory=trio.Event)

    async def follow(self, log: trio.abc.ReceiveStream) -> None:
        """Read the log until the processes end."""
        rest = b""
        async with log:
            async for chunk in log:
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self.take(line.decode(errors="replace"))
        self.settled.set()
        self.ended.set()

    def take(self, line: str) -> None:
        """Take one line of the log."""
        fields = _fields_of(line)
        if fields is not None:
            line = " ".join(f"{name}={text}" for name, text in fields.items())
            if fields.get("event") == "process.started":
                self.pids[str(fields["name"])] = int(fields["pid"])
        self.newest.append(line)
        self.show(line)
        if found := re.search(r"wsmesh: listening on 127\.0\.0\.1:(\d+)$", line):
            self.port = int(found[1])
            self.settled.set()

    def kill(self, name: str) -> int:
        """SIGKILL a node; return its process id."""
        pid = self.pids[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def configure(self, strategy: str) -> Path:
        """Write another `[balancer] strategy` into the file and send SIGHUP; return the file."""
        self.config.write_text(f'[balancer]\nstrategy = "{strategy}"\n')
        self.process.send_signal(signal.SIGHUP)
        return self.config


def _fields_of(line: str) -> dict[str, Any] | None:
    """Return what a line of the log says, None: it is plain text."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and fields.get("event") != "process.said" else None


@asynccontextmanager
async def _open_cluster(directory: Path, port: int) -> AsyncGenerator[_ClusterProcesses]:
    """Run a gateway and nodes; at the end they are stopped as an operator would, by SIGTERM.

    :raises StepFailed: they did not start, or did not stop in time with status 0.
    """
    config = directory / "wsmesh.toml"
    config.write_text('[balancer]\nstrategy = "least_connections"\n')
    kept = {name: text for name, text in os.environ.items() if not name.startswith("WSMESH_")}
    # In a group of its own, so that Ctrl-C reaches it through us, after its clients left.
    process = await trio.lowlevel.open_process(
        [
            sys.executable, "-m", "wsmesh", "up", "--dev", "--nodes", "3", "--port", str(port),
            "--config", str(config),
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        process_group=0,
        env=kept | {
            "WSMESH_LOG_FORMAT": "json", "WSMESH_REDIS_EMBEDDED_DIR": str(directory / "redis"),
        },
    )
    assert process.stderr is not None
    cluster = _ClusterProcesses(process=process, config=config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cluster.follow, process.stderr)
        try:
            with trio.move_on_after(START_WITHIN):
                await cluster.settled.wait()
            if not cluster.port:
                raise StepFailed("the cluster did not start:\n" + "\n".join(cluster.newest))
            yield cluster
        finally:
            with trio.CancelScope(shield=True):
                status = await _stop(process)
            nursery.cancel_scope.cancel()
        if status != 0:
            raise StepFailed(f"the cluster ended with status {status}")


async def _stop(process: trio.Process) -> int | None:
    """Ask the process to end, insist when it does not; return its status."""
    process.terminate()
    with trio.move_on_after(STOP_WITHIN):
        return await process.wait()
    process.kill()
    return await process.wait()


def _show(line: str) -> None:
    click.secho(line, dim=True)


def _what_next(port: int) -> None:
    click.secho("\nThe cluster is still running; try:\n", bold=True)
    here = "" if port == USUAL_PORT else f" --port {port}"
    for text, command in (
        ("watch a channel", f"{sys.executable} -m wsmesh --dev subscribe news{here}"),
        (
            "publish into it",
            f"curl -d '{{\"channel\": \"news\", \"data\": {{\"text\": \"hello\"}}}}' "
            f"http://127.0.0.1:{port}/api/publish",
        ),
        (
            "see the nodes",
            f"{sys.executable} -m wsmesh cluster --watch --url http://127.0.0.1:{port}",
        ),
        ("the gateway", f"curl http://127.0.0.1:{port}/metrics"),
        ("from a web page", f'new Centrifuge("ws://127.0.0.1:{port}/connection/websocket")'),
    ):
        click.echo(f"  {text:<16} {click.style(command, fg='green')}")
    click.echo(
        f"\nwsmesh: {click.style(f'ws://127.0.0.1:{port}/connection/websocket', bold=True)}"
        "   (Ctrl-C stops it)\n"
    )
