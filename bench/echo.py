"""Publish -> own publication + reply with 100 and 2,000 clients: CPU per message against peers.

Closed loop, one outstanding publication of 64 bytes per client. The peers in Python parse and build
the same messages with msgspec, without compression or keepalive; Socket.IO (Node) emits an event
and acknowledges.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from bench.lab.load import Load, open_load
from bench.lab.options import Lab, lab_options
from bench.lab.report import Rounds
from bench.lab.servers import Server, default_cache, open_node, open_python_peer, open_socketio

DATA = "x" * 62
TARGETS = {"websockets_echo": 2.0, "socket.io": 2.0, "trio_websocket_echo": 6.0}


@click.command()
@lab_options("echo")
@click.option("--clients", type=click.IntRange(1, 19_000), multiple=True, default=(100, 2000),
              show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Per server and round; 2, quick 1.")
@click.option("--only", multiple=True, type=click.Choice(list(TARGETS)), help="Only these peers.")
@click.option("--cache-dir", type=click.Path(path_type=Path), envvar="WSMESH_BENCH_CACHE",
              default=default_cache, help="Where Socket.IO is installed by npm.")
def main(
    lab: Lab, clients: tuple[int, ...], seconds: float | None, only: tuple[str, ...],
    cache_dir: Path,
) -> None:
    """Compare the exchange on the node with the same exchange on other servers."""
    seconds = seconds or (1.0 if lab.quick else 2.0)
    peers = [name for name in TARGETS if not only or name in only]
    for count in clients:
        costs = measure(lab, peers, count, seconds, cache_dir)
        ours = Rounds(f"node, {count} clients", costs["node"], "us/message")
        lab.report.show(ours)
        for name in peers:
            theirs = Rounds(f"{name}, {count} clients", costs[name], "us/message")
            lab.report.show(theirs)
            lab.report.better(ours, theirs, at_least=TARGETS[name])
    lab.report.finish()


def measure(
    lab: Lab, peers: list[str], count: int, seconds: float, cache: Path
) -> dict[str, list[float]]:
    """CPU per message of every server, round by round, the servers taking turns."""
    costs: dict[str, list[float]] = {}
    with ExitStack() as stack:
        loads = [stack.enter_context(open_crowd(lab, name, count, cache))
                 for name in ("node", *peers)]
        for round_number in range(-1, lab.rounds):
            lab.report.progress(f"{count} clients, round {round_number + 1} of {lab.rounds}"
                                " (0: warm-up)")
            for load in loads:
                warming = round_number < 0
                got = load.order("exchange", seconds=2 * seconds if warming else seconds)
                if warming:
                    continue
                costs.setdefault(load.name, []).append(got.micros_each)
                lab.report.progress(
                    f"{load.name}: {got.micros_each:.1f} us/message, "
                    f"{got.count / got.seconds:,.0f} messages/s, server "
                    f"{got.server_share:.0%} and load {got.load_share:.0%} of their cores"
                )
    return costs


@contextmanager
def open_crowd(lab: Lab, name: str, count: int, cache: Path) -> Iterator[Load]:
    """A server and its clients, each subscribed to a channel of its own, checked once in full."""
    with ExitStack() as stack:
        server = stack.enter_context(open_server(lab, name, cache))
        load = stack.enter_context(open_load(
            name, port=server.port, server_pid=server.pid, dialect=server.dialect,
            core=lab.load_core, secret=server.secret,
        ))
        load.order("open", count=count, channel="echo-{i}")
        load.order("check", data=DATA)
        load.order("prepare", data=DATA)
        yield load


@contextmanager
def open_server(lab: Lab, name: str, cache: Path) -> Iterator[Server]:
    """The node or a peer by its name."""
    match name:
        case "node":
            opened = open_node(core=lab.server_core)
        case "socket.io":
            opened = open_socketio(core=lab.server_core, cache=cache)
        case _:
            opened = open_python_peer(name, core=lab.server_core)
    with opened as server:
        yield server


if __name__ == "__main__":
    main()
