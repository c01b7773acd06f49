"""The gateway in front of three nodes: CPU per placed connection, nothing per message afterwards.

Connections arrive at a rate and stay, in rounds; then each of them publishes and gets its message
back, which must cost the gateway nothing, because nodes of its host have the sockets themselves.
Last, how even the nodes are.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, cast

import click

from bench.lab.gateways import open_gateway, open_nodes
from bench.lab.load import open_load
from bench.lab.options import Lab, lab_options
from bench.lab.process import cpu_seconds
from bench.lab.report import Rounds

CPU_TARGET_US = 300.0
IDLE_TARGET = 0.02
"""Share of a core that the gateway may use while others talk: it hears reports."""

HELD, CLIENTS, DATA = 3000, 200, "x" * 62


@click.command()
@lab_options("gateway")
@click.option("--rate", type=click.FloatRange(min=1), default=1000.0, show_default=True)
@click.option("--strategy", default="p2c", show_default=True)
def main(lab: Lab, rate: float, strategy: str) -> None:
    """Measure what placing a client costs the gateway, and what its messages do."""
    count = HELD // 3 if lab.quick else HELD
    with (
        tempfile.TemporaryDirectory(prefix="wsmesh") as folder,
        open_nodes(3, Path(folder), core=lab.load_core) as nodes,
        open_gateway(Path(folder), core=lab.server_core, strategy=strategy) as gateway,
        open_load("gateway", port=gateway.port, server_pid=gateway.pid, dialect="centrifugo",
                  core=lab.load_core, secret=gateway.secret) as load,
    ):
        costs = []
        for round_number in range(-1, lab.rounds):
            got = load.order("storm", rate=rate, count=count, hold=0.0)
            load.order("close")
            result = cast("dict[str, Any]", got.result)
            if result["failures"]:
                raise click.ClickException(f"connections failed: {result['failures']}")
            if round_number >= 0:
                costs.append(got.server_cpu / result["opened"] * 1e6)
                lab.report.progress(f"round {round_number + 1}: {costs[-1]:.0f} us")
        rounds = Rounds("CPU per placed connection", costs, "us")
        lab.report.show(rounds)
        lab.report.claim(
            f"{rounds.median:.0f} us of the gateway's CPU per placed connection "
            f"(target <= {CPU_TARGET_US:g})",
            holds=rounds.median <= CPU_TARGET_US,
        )
        load.order("open", count=CLIENTS, channel="echo-{i}")
        load.order("check", data=DATA)
        load.order("prepare", data=DATA)
        nodes_before = sum(cpu_seconds(node.pid) for node in nodes)
        got = load.order("exchange", seconds=1.0 if lab.quick else 3.0)
        nodes_used = sum(cpu_seconds(node.pid) for node in nodes) - nodes_before
        lab.report.note("messages", f"{got.count:,}, {nodes_used / got.count * 1e6:.1f} us of the "
                        f"nodes' CPU each")
        lab.report.claim(
            f"{got.server_share:.1%} of a core used by the gateway meanwhile, for the nodes' "
            f"reports (target < {IDLE_TARGET:.0%}: nothing per message)",
            holds=got.server_share < IDLE_TARGET,
        )
    lab.report.finish()


if __name__ == "__main__":
    main()
