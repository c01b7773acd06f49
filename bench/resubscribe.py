"""100,000 channels heard again after Redis was restarted: seconds and commands, beside redis-py.

Each client is a process of its own that holds the shard channels of a node. Redis is terminated and
started again on the same port; it counts the commands itself, and a message to some of the channels
shows that they are heard.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import redis
from attrs import frozen
from redis.backoff import NoBackoff
from redis.retry import Retry

from bench.lab.options import Lab, lab_options
from bench.lab.process import cpu_seconds, free_port, running
from bench.lab.report import Rounds
from bench.servers.redis_listener import channels

OURS, THEIRS = "link", "redis-py"
CHANNELS, QUICK_CHANNELS = 100_000, 10_000
SAMPLE = 200
"""Channels that are asked whether somebody hears them."""


@frozen
class Return:
    """One client's way back.

    :param since_up: seconds from Redis's first answer to the last channel.
    :param since_connected: seconds from the client's new connection to the last channel.
    :param commands: SSUBSCRIBE commands that Redis counted.
    :param cpu: seconds of the client from the restart on.
    """

    since_up: float
    since_connected: float
    commands: float
    cpu: float


@click.command()
@lab_options("resubscribe")
@click.option("--channels", "number", type=click.IntRange(1), help="100000, quick 10000.")
def main(lab: Lab, number: int | None) -> None:
    """Restart Redis under each client in turn."""
    number = number or (QUICK_CHANNELS if lab.quick else CHANNELS)
    names = channels(number)
    results: dict[str, list[Return]] = {OURS: [], THEIRS: []}
    for each in range(lab.rounds):
        for client, measured in results.items():
            lab.report.progress(f"{client}, round {each + 1} of {lab.rounds}")
            measured.append(one(lab, client, names))
    for name, unit in (
        ("since_up", "s"), ("since_connected", "s"), ("commands", "commands"), ("cpu", "s"),
    ):
        for client, measured in results.items():
            values = [getattr(each, name) for each in measured]
            lab.report.show(Rounds(f"{client}, {name}, {number:,} channels", values, unit))
    ours, theirs = (
        Rounds(client, [each.since_connected for each in measured], "s")
        for client, measured in results.items()
    )
    lab.report.compare(ours, theirs, at_most=1.0)
    lab.report.finish()


def one(lab: Lab, client: str, names: list[bytes]) -> Return:
    """Let one client subscribe, restart Redis, and see it come back.

    :raises click.ClickException: the client ended, or does not hear what it says it hears.
    """
    port = free_port()
    command = [sys.executable, "-m", "bench.servers.redis_listener", client]
    with ExitStack() as stack:
        with serving(port, lab.load_core):
            listener = stack.enter_context(running(
                [*command, "--port", str(port), "--channels", str(len(names))],
                core=lab.server_core, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            ))  # fmt: skip
            told(listener)
            before = cpu_seconds(listener.pid)
        admin = stack.enter_context(serving(port, lab.load_core))
        up = time.monotonic()
        figures = told(listener)
        assert isinstance(figures, dict)
        cpu = cpu_seconds(listener.pid) - before
        sample = random.sample(names, min(SAMPLE, len(names)))
        heard = sum(admin.spublish(name, b"?") for name in sample)
        if heard != len(sample):
            raise click.ClickException(f"{client} hears {heard} of {len(sample)} channels")
        calls = admin.info("commandstats")["cmdstat_ssubscribe"]["calls"]
    return Return(figures["heard"] - up, figures["heard"] - figures["connected"], calls, cpu)


def told(child: subprocess.Popen[bytes]) -> object:
    """Return what a child says next."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise click.ClickException(f"the client ended with status {child.wait()}")
    return json.loads(line)


@contextmanager
def serving(port: int, core: int) -> Iterator[redis.Redis]:
    """A Redis without persistence that answers; terminated with the block."""
    with tempfile.TemporaryDirectory() as directory:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                   "--dir", directory, "--logfile", str(Path(directory) / "log")]
        admin = redis.Redis(port=port, retry=Retry(NoBackoff(), 0))
        with running(command, core=core) as child, admin:
            while not answers(admin):
                if child.poll() is not None:
                    raise click.ClickException(f"Redis ended with status {child.returncode}")
                time.sleep(0.001)
            yield admin


def answers(admin: redis.Redis) -> bool:
    """Whether Redis is there."""
    try:
        admin.ping()
    except redis.ConnectionError:
        return False
    return True


if __name__ == "__main__":
    main()
