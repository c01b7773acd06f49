"""15,000 idle connections with one subscription each: RSS per connection, and what stays behind.

Each client has a channel of its own and a token that expires. Clients come and go in cycles; the
node's RSS is read while they are there and after they have left.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import combinations

import click

from bench.lab.load import open_load
from bench.lab.options import Lab, lab_options
from bench.lab.process import resident_bytes
from bench.lab.servers import open_node

PER_CONNECTION = 12_000
LEFTOVER = 0.10
SLOPE = 0.01
"""Growth of the RSS with all clients there, per cycle: what 20 cycles would make a fifth."""

ARRIVALS = 1500.0
SETTLE = 9.0


def theil_sen(values: Sequence[float]) -> float:
    """The median slope between all pairs: growth per step, robust against an outlier."""
    pairs = combinations(enumerate(values), 2)
    return statistics.median((b - a) / (j - i) for (i, a), (j, b) in pairs)


@click.command()
@lab_options("idle_memory")
@click.option("--clients", type=click.IntRange(1, 19_000), help="15000, quick 3000.")
@click.option("--cycles", type=click.IntRange(2), help="5, quick 3.")
@click.option("--settle", default=SETTLE, show_default=True, help="Seconds before RSS is read.")
def main(lab: Lab, clients: int | None, cycles: int | None, settle: float) -> None:
    """Measure the node's memory with idle clients, and without them again."""
    clients = clients or (3000 if lab.quick else 15_000)
    cycles = cycles or (3 if lab.quick else 5)
    full: list[float] = []
    empty: list[float] = []
    with ExitStack() as stack:
        server = stack.enter_context(open_node(core=lab.server_core))
        load = stack.enter_context(open_load(
            "node", port=server.port, server_pid=server.pid, dialect=server.dialect,
            core=lab.load_core, secret=server.secret,
        ))
        time.sleep(1.0)
        start = resident_bytes(server.pid)
        for cycle in range(cycles):
            load.order("open", count=clients, channel="idle-{i}", rate=ARRIVALS)
            time.sleep(settle)
            full.append(resident_bytes(server.pid))
            load.order("close")
            time.sleep(settle)
            empty.append(resident_bytes(server.pid))
            lab.report.progress(
                f"cycle {cycle + 1} of {cycles}: {start / 1e6:.1f} MB at the start, "
                f"{full[-1] / 1e6:.1f} MB with {clients} clients, {empty[-1] / 1e6:.1f} MB after"
            )
    each = (full[0] - start) / clients
    lab.report.note("RSS MB at the start", start / 1e6)
    lab.report.note("RSS MB with clients", [value / 1e6 for value in full])
    lab.report.note("RSS MB after them", [value / 1e6 for value in empty])
    lab.report.claim(
        f"{each / 1000:.1f} KB of RSS per connection, {clients} clients "
        f"(target <= {PER_CONNECTION / 1000:g})",
        holds=each <= PER_CONNECTION,
    )
    left = empty[-1] / start - 1
    lab.report.claim(
        f"RSS {empty[-1] / 1e6:.1f} MB after they left, {left:+.0%} of the start "
        f"{start / 1e6:.1f} MB (target <= {LEFTOVER:+.0%})",
        holds=left <= LEFTOVER,
    )
    slope = max(theil_sen(full), theil_sen(empty)) / statistics.median(full)
    lab.report.claim(
        f"RSS grows by {slope:.2%} of the full size per cycle over {cycles} (target < {SLOPE:.0%})",
        holds=slope < SLOPE,
    )
    lab.report.finish()


if __name__ == "__main__":
    main()
