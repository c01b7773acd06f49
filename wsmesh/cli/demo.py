"""`demo`: starts a node, shows clients losing and recovering messages, leaves the node running."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import click
import trio
from attrs import define, field

from wsmesh.cli.story import StepFailed, Teller, tell_story

USUAL_PORT = 8000
START_WITHIN = 20.0
STOP_WITHIN = 10.0
TOLD_ON_FAILURE = 20
"""Newest log lines of the node that are shown when the story fails."""


@click.command(epilog="""\b
Examples:
  python -m wsmesh demo           leaves the node running, to try things out
  python -m wsmesh demo --exit    ends with the story: 0 if every step held
""")
@click.option("--exit", "ends", is_flag=True, help="End after the story; so without a terminal.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), metavar="PORT",
    help=f"The node's port; otherwise {USUAL_PORT}, or any free one when that is taken.",
)
def demo(ends: bool, port: int | None) -> None:
    """Watch real clients lose a connection and recover what they missed."""
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
                click.echo("\nstopping the node ...")
                nursery.cancel_scope.cancel()


async def _play(port: int, stays: bool, done: Callable[[], None]) -> None:
    teller = Teller()
    teller.heading("A node starts")
    async with _open_node_process(port) as node:
        teller.say("node", f"listens on 127.0.0.1:{node.port}, process {node.pid}", colour="green")
        try:
            await tell_story(node.port, teller)
        except (StepFailed, BaseExceptionGroup):
            click.echo("\n".join(["the node's log ends with", *node.newest]), err=True)
            raise
        if stays:
            _what_next(node.port)
            node.show = _show
            await node.ended.wait()
    done()


@define(eq=False, kw_only=True)
class _NodeProcess:
    """A node in dev mode as a child process.

    :ivar port: where it listens, 0 until it does.
    :ivar newest: the end of its log.
    :ivar show: told each further line of the log.
    """

    pid: int
    port: int = 0
    newest: deque[str] = field(factory=lambda: deque(maxlen=TOLD_ON_FAILURE))
    show: Callable[[str], None] = lambda line: None
    settled: trio.Event = field(factory=trio.Event)
    ended: trio.Event = field(factory=trio.Event)

    async def follow(self, log: trio.abc.ReceiveStream) -> None:
        """Read the log until the process ends."""
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
        self.newest.append(line)
        self.show(line)
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", line):
            self.port = int(found[1])
            self.settled.set()


@asynccontextmanager
async def _open_node_process(port: int) -> AsyncGenerator[_NodeProcess]:
    """Run a node in dev mode; at the end it is stopped as an operator would, by SIGTERM.

    :raises StepFailed: it did not start, or did not stop in time with status 0.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith("WSMESH_")}
    # In a group of its own, so that Ctrl-C reaches the node through us, after its clients left.
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "wsmesh", "--dev", "--port", str(port)],
        stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, process_group=0,
        env=kept | {"WSMESH_LOG_FORMAT": "console"},
    )
    assert process.stderr is not None
    node = _NodeProcess(pid=process.pid)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.follow, process.stderr)
        try:
            with trio.move_on_after(START_WITHIN):
                await node.settled.wait()
            if not node.port:
                raise StepFailed("the node did not start:\n" + "\n".join(node.newest))
            yield node
        finally:
            with trio.CancelScope(shield=True):
                status = await _stop(process)
            nursery.cancel_scope.cancel()
        if status != 0:
            raise StepFailed(f"the node ended with status {status}")


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
    click.secho("\nThe node is still running; try:\n", bold=True)
    here = "" if port == USUAL_PORT else f" --port {port}"
    for text, command in (
        ("watch a channel", f"{sys.executable} -m wsmesh --dev subscribe news{here}"),
        (
            "publish into it",
            f"curl -d '{{\"channel\": \"news\", \"data\": {{\"text\": \"hello\"}}}}' "
            f"http://127.0.0.1:{port}/api/publish",
        ),
        ("its metrics", f"curl http://127.0.0.1:{port}/metrics"),
        ("from a web page", f'new Centrifuge("ws://127.0.0.1:{port}/connection/websocket")'),
    ):
        click.echo(f"  {text:<16} {click.style(command, fg='green')}")
    click.echo(
        f"\nwsmesh node: {click.style(f'ws://127.0.0.1:{port}/connection/websocket', bold=True)}"
        "   (Ctrl-C stops it)\n"
    )
