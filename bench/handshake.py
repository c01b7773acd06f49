"""Accept + handshake + HS256 token + connect reply: CPU per connection and latency at 2,000/s.

Two parts. Held: connections arrive at the rate and stay, in rounds, for CPU per connection without
any closing. Sustained: an open loop for 10 s, each client leaving 3 s after its reply; latency runs
from the moment a connection was due, so a stall is charged to everyone who was due during it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, cast

import click

from bench.lab.load import Load, Measured, open_load
from bench.lab.options import Lab, lab_options
from bench.lab.process import stolen_seconds
from bench.lab.report import Report, Rounds
from bench.lab.servers import open_node

CPU_TARGET_US, P99_TARGET_MS = 400.0, 50.0
HELD, HOLD = 3000, 3.0
LATE_MS = 10.0
"""A generator later than this at P99 has measured itself."""


@click.command()
@lab_options("handshake")
@click.option("--rate", type=click.FloatRange(min=1), default=2000.0, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.5), help="Sustained; 10, quick 3.")
def main(lab: Lab, rate: float, seconds: float | None) -> None:
    """Measure what it costs, and takes, to let a client in."""
    seconds = seconds or (3.0 if lab.quick else 10.0)
    with ExitStack() as stack:
        server = stack.enter_context(open_node(core=lab.server_core))
        load = stack.enter_context(open_load(
            "node", port=server.port, server_pid=server.pid, dialect=server.dialect,
            core=lab.load_core, secret=server.secret,
        ))
        held(lab, load, rate)
        stolen = stolen_seconds()
        storm = load.order("storm", rate=rate, count=round(rate * seconds), hold=HOLD)
        stolen = stolen_seconds() - stolen
    judge(lab.report, storm, rate, seconds)
    lab.report.note("stolen by the hypervisor", f"{stolen:.2f} s")
    lab.report.finish()


def held(lab: Lab, load: Load, rate: float) -> None:
    """Rounds of arrivals that stay; closing happens outside the measured time."""
    costs = []
    for round_number in range(-1, lab.rounds):
        got = load.order("storm", rate=rate, count=HELD, hold=0.0)
        load.order("close")
        result = cast("dict[str, Any]", got.result)
        if result["failures"]:
            raise click.ClickException(f"connections failed: {result['failures']}")
        cost = got.server_cpu / result["opened"] * 1e6
        lab.report.progress(
            f"held, round {round_number + 1} of {lab.rounds} (0: warm-up): {cost:.0f} us, "
            f"server {got.server_share:.0%} and load {got.load_share:.0%} of their cores"
        )
        if round_number >= 0:
            costs.append(cost)
    rounds = Rounds("CPU per connection", costs, "us")
    lab.report.show(rounds)
    lab.report.claim(
        f"{rounds.median:.0f} us CPU per connection (target <= {CPU_TARGET_US:g})",
        holds=rounds.median <= CPU_TARGET_US,
    )


def judge(report: Report, storm: Measured, rate: float, seconds: float) -> None:
    """Claims about the sustained part; doubtful if the generator itself was late."""
    result = cast("dict[str, Any]", storm.result)
    latency, lateness = result["latency_ms"], result["lateness_ms"]
    wanted = round(rate * seconds)
    report.note("latency ms", latency)
    report.note("generator lateness ms", lateness)
    report.note("failures", result["failures"] or "none")
    report.note(
        "sustained, closing included", f"{storm.server_cpu / max(1, result['opened']) * 1e6:.0f} us"
        f" per connection, load {storm.load_share:.0%} of its core",
    )
    if lateness["p99"] >= LATE_MS:
        report.doubt(f"the generator was {lateness['p99']:.1f} ms late at P99")
    report.claim(
        f"{result['opened']} of {wanted} connected at {rate:g}/s for {seconds:g} s",
        holds=result["opened"] == wanted and not result["failures"],
    )
    report.claim(
        f"P50 {latency['p50']:.1f} ms, P99 {latency['p99']:.1f} ms (target < {P99_TARGET_MS:g} ms)",
        holds=latency["p99"] < P99_TARGET_MS,
    )


if __name__ == "__main__":
    main()
