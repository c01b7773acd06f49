"""CPU per Redis operation and per pub/sub message of the link, beside redis-py and coredis.

Each client is a process of its own on one core: 64 concurrent tasks (or threads) that SET and GET
64 bytes in turn, and one subscriber of a channel on which another process publishes 128 bytes as
fast as it can. redis-py runs in threads, a call each, as Trio programs run blocking clients.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import click

from bench.lab.options import Lab, lab_options
from bench.lab.process import free_port, pinned, running, wait_listening
from bench.lab.report import Rounds

OURS, COREDIS, THREADS = "link", "coredis", "redis-py in threads"
TASKS = 64
PER_OPERATION, PER_MESSAGE = 25.0, 5.0
"""What the link may cost at most, in us of CPU."""

WORK = {
    ("operations", OURS): 100_000, ("operations", COREDIS): 10_000, ("operations", THREADS): 5_000,
    ("messages", OURS): 200_000, ("messages", COREDIS): 20_000, ("messages", THREADS): 20_000,
}
UNITS = {"operations": "us/operation", "messages": "us/message"}


@click.command()
@lab_options("redis_link")
@click.option("--only", multiple=True, type=click.Choice([OURS, COREDIS, THREADS]),
              help="Only these clients.")
def main(lab: Lab, only: tuple[str, ...]) -> None:
    """Compare the clients on a Redis of their own."""
    clients = [name for name in (OURS, COREDIS, THREADS) if not only or name in only]
    with running_redis(lab.load_core) as port:
        for kind, unit in UNITS.items():
            costs: dict[str, list[float]] = {name: [] for name in clients}
            for number in range(lab.rounds):
                lab.report.progress(f"{kind}, round {number + 1} of {lab.rounds}")
                for name in clients:
                    work = WORK[kind, name] // (10 if lab.quick else 1)
                    costs[name].append(measured(kind, name, port, work, lab))
            report(lab, kind, unit, costs)
    lab.report.finish()


def report(lab: Lab, kind: str, unit: str, costs: dict[str, list[float]]) -> None:
    """Print the figures of one kind and claim the targets."""
    rounds = {name: Rounds(f"{name}, {kind}", values, unit) for name, values in costs.items()}
    for each in rounds.values():
        lab.report.show(each)
    if OURS not in rounds:
        return
    ours = rounds[OURS]
    limit = {"operations": PER_OPERATION, "messages": PER_MESSAGE}[kind]
    lab.report.claim(
        f"{ours.name} {ours.median:.2f} {unit} (target <= {limit:g})", holds=ours.median <= limit
    )
    for name, theirs in rounds.items():
        if name != OURS:
            lab.report.better(ours, theirs, at_least=1.0)


def measured(kind: str, name: str, port: int, work: int, lab: Lab) -> float:
    """CPU us per operation or message of one client, in a process of its own."""
    # The server and the publisher share the other core: only the client's CPU counts.
    command = [sys.executable, "-m", "bench.servers.redis_client", kind, name]
    with pinned(lab.server_core):
        client = subprocess.Popen(
            [*command, "--port", str(port), "--work", str(work), "--tasks", str(TASKS)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
    with client:
        assert client.stdout is not None
        if kind == "messages":
            client.stdout.readline()
            # coredis has sharded channels in a cluster only.
            publish(port, work, "PUBLISH" if name == COREDIS else "SPUBLISH")
        figures = json.loads(client.stdout.readline())
    lab.report.progress(f"{name}: {figures['micros']:.1f} {UNITS[kind]}, "
                        f"{figures['per_second']:,.0f}/s")
    return float(figures["micros"])


def publish(port: int, number: int, command: str) -> None:
    """Publish 128-byte messages by blocking pipelines."""
    import redis

    with redis.Redis(port=port) as client:
        for _ in range(number // 100):
            with client.pipeline(transaction=False) as pipeline:
                for _ in range(100):
                    pipeline.execute_command(command, "channel", b"x" * 128)
                pipeline.execute()


@contextmanager
def running_redis(core: int) -> Iterator[int]:
    """A Redis without persistence; yields its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                   "--dir", directory]
        with running(command, core=core) as child:
            wait_listening(child, port)
            yield port


if __name__ == "__main__":
    main()
