"""Published on one node, delivered by another: delay at 100/s and 5,000/s, and CPU per publish.

Open loop: a message counts from when it was due, and so do the commands of a connection beside the
nodes', which show what Redis takes to answer under their load. The reference is a publish and its
delivery through the same Redis without any node, redis-py to redis-py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import click

from bench.lab.options import Lab, lab_options
from bench.lab.process import cpu_seconds, free_port, pinned, running, wait_listening
from bench.lab.report import Rounds
from bench.redis_link import running_redis

RATES = (100, 5_000)
LIMIT_MS = 5.0
PROBE_RATE = 200
PROBE_LIMIT_MS = 10.0
NODES = (1, 3, 10)
COST_MESSAGES, COST_RATE = 5_000, 1_000


@click.command()
@lab_options("cross_node")
def main(lab: Lab) -> None:
    """Measure delays and costs of messages that cross nodes."""
    with running_redis(lab.load_core) as redis_port:
        with ExitStack() as stack:
            a, b = (stack.enter_context(open_member(redis_port, lab)) for _ in "ab")
            for rate in RATES:
                measure_delay(lab, rate, a.port, b.port, redis_port)
        reference(lab, redis_port)
        for number in NODES[: 2 if lab.quick else None]:
            with ExitStack() as stack:
                nodes = [stack.enter_context(open_member(redis_port, lab)) for _ in range(number)]
                measure_cost(lab, nodes)
    lab.report.finish()


class Member:
    """A node of the cluster."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port


@contextmanager
def open_member(redis_port: int, lab: Lab) -> Iterator[Member]:
    """A node for development on the server's core."""
    port = free_port()
    env = {
        "WSMESH_REDIS_URL": f"redis://127.0.0.1:{redis_port}", "WSMESH_LIMITS_MESSAGE_RATE": "1e9",
        "WSMESH_LIMITS_MESSAGE_BURST": "1000000000", "WSMESH_LIMITS_BYTE_RATE": "unlimited",
        "WSMESH_LOG_LEVEL": "warning",
    }  # fmt: skip
    command = [sys.executable, "-m", "wsmesh", "--dev", "--port", str(port)]
    with running(command, core=lab.server_core, env=env) as child:
        wait_listening(child, port)
        time.sleep(0.3)
        yield Member(child.pid, port)


def start(
    lab: Lab, *words: str, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A generator on the load's core."""
    command = [sys.executable, "-m", "bench.servers.cross_node_peer", *words]
    with pinned(lab.load_core):
        return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE)


def deliver(
    lab: Lab, count: int, rate: float, a: int, others: Sequence[int]
) -> tuple[dict[str, float], float]:
    """Publish on `a`; return the delays at the last of `others`, in us, and the lateness P99."""
    subscribers = [
        start(lab, "subscribe", "--port", str(port), "--count", str(count)) for port in others
    ]
    for each in subscribers:
        assert each.stdout is not None
        each.stdout.readline()
    with start(
        lab, "publish", "--port", str(a), "--count", str(count), "--rate", str(rate)
    ) as publisher:
        assert publisher.stdout is not None
        late = json.loads(publisher.stdout.readline())["late_p99"]
    delays: dict[str, float] = {}
    for each in subscribers:
        assert each.stdout is not None
        delays = json.loads(each.stdout.readline())
        each.stdout.close()
        each.wait()
    return delays, late


@contextmanager
def probing(lab: Lab, port: int) -> Iterator[dict[str, float]]:
    """Commands of a connection of their own; afterwards their times, in us, are in the mapping."""
    delays: dict[str, float] = {}
    words = ["probe", "--port", str(port), "--rate", str(PROBE_RATE)]
    with start(lab, *words, stdin=subprocess.PIPE) as probe:
        assert probe.stdin is not None
        assert probe.stdout is not None
        probe.stdout.readline()
        try:
            yield delays
        finally:
            probe.stdin.close()
        delays |= json.loads(probe.stdout.readline())


def measure_delay(lab: Lab, rate: int, a: int, b: int, redis_port: int) -> None:
    """Show the delays at one rate, and claim the limits."""
    rounds: dict[str, list[float]] = {"50": [], "99": [], "99.9": [], "100": []}
    lateness, replies = [], []
    for number in range(lab.rounds):
        lab.report.progress(f"{rate}/s, round {number + 1} of {lab.rounds}")
        seconds = 2 if lab.quick else 5
        with probing(lab, redis_port) as commands:
            delays, late = deliver(lab, rate * seconds, rate, a, [b])
        replies.append(commands["99"] / 1000)
        lateness.append(late / 1000)
        for name, values in rounds.items():
            values.append(delays[name] / 1000)
    for name, values in rounds.items():
        lab.report.show(Rounds(f"publish on A, delivery on B, {rate}/s, P{name}", values, "ms"))
    lab.report.show(Rounds(f"lateness of the generator, {rate}/s, P99", lateness, "ms"))
    answers = Rounds(f"Redis commands beside them, {rate}/s, P99", replies, "ms")
    lab.report.show(answers)
    if rate == RATES[-1]:
        lab.report.claim(
            f"P99 of Redis commands at {rate}/s {answers.median:.2f} ms "
            f"(target < {PROBE_LIMIT_MS:g})",
            holds=answers.median < PROBE_LIMIT_MS,
        )
    if rate == RATES[0]:
        worst = Rounds("", rounds["99"], "ms").median
        lab.report.claim(
            f"P99 at {rate}/s {worst:.2f} ms (target < {LIMIT_MS:g})", holds=worst < LIMIT_MS
        )


def measure_cost(lab: Lab, nodes: Sequence[Member]) -> None:
    """Show the CPU of all nodes per publish that reaches a subscriber on each."""
    costs = []
    for number in range(lab.rounds):
        lab.report.progress(f"{len(nodes)} nodes, round {number + 1} of {lab.rounds}")
        before = [cpu_seconds(node.pid) for node in nodes]
        deliver(lab, COST_MESSAGES, COST_RATE, nodes[0].port, [node.port for node in nodes])
        spent = sum(
            cpu_seconds(node.pid) - began for node, began in zip(nodes, before, strict=True)
        )
        costs.append(spent / COST_MESSAGES * 1e6)
    name = f"CPU of {len(nodes)} nodes per publish, a subscriber on each"
    rounds = Rounds(name, costs, "us")
    lab.report.show(rounds)
    lab.report.note(f"{name}, per node", f"{rounds.median / len(nodes):.1f} us")


def reference(lab: Lab, port: int) -> None:
    """Show what a publish and its delivery take without a node."""
    import redis

    with redis.Redis(port=port) as publisher, redis.Redis(port=port) as client:
        subscriber = client.pubsub()
        subscriber.subscribe("reference")
        subscriber.get_message(timeout=1)
        delays = []
        for _ in range(500):
            began = time.perf_counter()
            publisher.publish("reference", b"x" * 128)
            while subscriber.get_message(timeout=1) is None:
                continue
            delays.append((time.perf_counter() - began) * 1000)
            time.sleep(0.002)
    delays.sort()
    lab.report.show(Rounds("reference: redis-py to redis-py, P99", [delays[494]], "ms"))


if __name__ == "__main__":
    main()
