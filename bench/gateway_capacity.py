"""45,000 connections through one gateway to three nodes: do all get in, and how even are the nodes.

Three load processes connect 15,000 clients each, one after the other, every client with a key of
its own in its URL; all stay. Then what the nodes count is compared, and the gateway must hold
nothing of anybody. A strategy after the other, each with nodes of its own.
"""

from __future__ import annotations

import re
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import click

from bench.lab.gateways import open_gateway, open_nodes
from bench.lab.load import open_load
from bench.lab.options import Lab, lab_options
from bench.lab.process import resident_bytes
from bench.lab.servers import Server

STRATEGIES = {"p2c": 1.05, "least_connections": 1.05, "rendezvous": 1.25, "bounded_load": 1.25}
"""The most that the fullest node may have over the average."""

PROCESSES = 3
EACH = 15_000
RATE = 1_000.0
"""Arrivals per second: nodes, gateway and clients share two cores."""


def clients_of(node: Server) -> int:
    """Return how many clients a node says that it has."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{node.port}/metrics", timeout=10) as answer:
        found = re.search(r"(?m)^wsmesh_connections (\S+)$", answer.read().decode())
    if found is None:
        raise click.ClickException(f"{node.name} does not say how many clients it has")
    return int(float(found[1]))


@click.command()
@lab_options("gateway_capacity")
@click.option("--strategy", "strategies", multiple=True, type=click.Choice([*STRATEGIES]),
              help="Repeat for several; all by default.")
def main(lab: Lab, strategies: tuple[str, ...]) -> None:
    """Fill three nodes through one gateway."""
    each = EACH // 10 if lab.quick else EACH
    for strategy in strategies or STRATEGIES:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wsmesh")))
            nodes = stack.enter_context(open_nodes(3, folder, core=lab.load_core))
            gateway = stack.enter_context(
                open_gateway(folder, core=lab.server_core, strategy=strategy, keys=["query:user"])
            )
            before, cpu = resident_bytes(gateway.pid), 0.0
            for number in range(PROCESSES):
                load = stack.enter_context(open_load(
                    f"load {number}", port=gateway.port, server_pid=gateway.pid,
                    dialect="centrifugo", core=number % 2, secret=gateway.secret,
                    path="/connection/websocket?user={user}",
                ))
                got = load.order("open", count=each, channel="", first=number * each, rate=RATE)
                cpu += got.server_cpu
                lab.report.progress(f"{strategy}: {(number + 1) * each:,} connections")
            loads = [clients_of(node) for node in nodes]
            total = sum(loads)
            lab.report.note(f"{strategy}, clients of each node", loads)
            lab.report.note(
                f"{strategy}, gateway", f"{cpu / total * 1e6:.0f} us per connection, "
                f"{(resident_bytes(gateway.pid) - before) / 1e6:+.1f} MB",
            )
            lab.report.claim(
                f"{strategy}: {total:,} connections open (expected {PROCESSES * each:,})",
                holds=total == PROCESSES * each,
            )
            ratio = max(loads) * len(nodes) / total
            lab.report.claim(
                f"{strategy}: the fullest node has {ratio:.3f} of the average "
                f"(target <= {STRATEGIES[strategy]:g})",
                holds=ratio <= STRATEGIES[strategy],
            )
    lab.report.finish()


if __name__ == "__main__":
    main()
