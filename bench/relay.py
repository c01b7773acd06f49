"""Relaying to nodes elsewhere: the gateway's CPU per message against HAProxy's.

Closed loop through either to the same node, one outstanding publication of 64 bytes per client;
each message passes three times (publication in, publication and reply out, coalesced into one).
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from bench.lab.gateways import open_gateway, open_haproxy, open_nodes
from bench.lab.load import Load, open_load
from bench.lab.options import Lab, lab_options
from bench.lab.report import Rounds

TARGET = 2.0
DATA = "x" * 62


@click.command()
@lab_options("relay")
@click.option("--clients", type=click.IntRange(1, 9_000), multiple=True, default=(100, 2000),
              show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Per proxy and round; 2, quick 1.")
def main(lab: Lab, clients: tuple[int, ...], seconds: float | None) -> None:
    """Compare what relaying one exchange costs."""
    seconds = seconds or (1.0 if lab.quick else 2.0)
    for count in clients:
        costs = measure(lab, count, seconds)
        ours = Rounds(f"gateway, {count} clients", costs["gateway"], "us/exchange")
        theirs = Rounds(f"haproxy, {count} clients", costs["haproxy"], "us/exchange")
        lab.report.show(ours)
        lab.report.show(theirs)
        lab.report.compare(ours, theirs, at_most=TARGET)
    lab.report.finish()


def measure(lab: Lab, count: int, seconds: float) -> dict[str, list[float]]:
    """CPU per exchange of both, round by round, taking turns."""
    costs: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wsmesh")))
        nodes = stack.enter_context(open_nodes(1, folder, core=lab.load_core))
        loads: list[Load] = []
        for proxy in (
            stack.enter_context(open_gateway(folder, core=lab.server_core, relay_to=nodes)),
            stack.enter_context(open_haproxy(folder, nodes, core=lab.server_core)),
        ):
            load = stack.enter_context(open_load(
                proxy.name, port=proxy.port, server_pid=proxy.pid, dialect=proxy.dialect,
                core=lab.load_core, secret=proxy.secret,
            ))
            load.order("open", count=count, channel=f"{proxy.name}-{{i}}")
            load.order("check", data=DATA)
            load.order("prepare", data=DATA)
            loads.append(load)
        for round_number in range(-1, lab.rounds):
            for load in loads:
                got = load.order("exchange", seconds=seconds)
                if round_number < 0:
                    continue
                costs.setdefault(load.name, []).append(got.micros_each)
                lab.report.progress(
                    f"{load.name}, {count} clients, round {round_number + 1} of {lab.rounds}: "
                    f"{got.micros_each:.1f} us/exchange, {got.count / got.seconds:,.0f}/s, "
                    f"{got.server_share:.0%} of its core"
                )
    return costs


if __name__ == "__main__":
    main()
