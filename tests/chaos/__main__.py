"""`make chaos`: real nodes under load while faults happen, and a verdict.

Kills, stops, drains, cuts off, slows down, adds and removes nodes at random, from a seed that is
printed. Then it checks what every client saw: nothing lost, doubled or reordered, no interruption
longer than five seconds. The status is 0 when all of that holds, 1 when it does not.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from functools import partial
from pathlib import Path

import trio
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos.run import BOUND, Outcome, Plan, run


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="make chaos", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog='Options go into CHAOS: make chaos CHAOS="--minutes 1 --seed 7"',
    )
    parser.add_argument("--seed", type=int, help="of the faults; otherwise any, printed")
    parser.add_argument("--minutes", type=float, default=5.0, help="of load (5)")
    parser.add_argument("--nodes", type=int, default=4, help="3 or more (4)")
    parser.add_argument("--clients", type=int, default=24, help="subscribers (24)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where logs and record go")
    options = parser.parse_args(words)
    if options.nodes < 3 or options.minutes <= 0 or options.clients < 1:
        parser.error("expected 3 nodes or more, some minutes and some clients")
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    directory = options.keep or Path(tempfile.mkdtemp(prefix="wsmesh-chaos-"))
    plan = Plan(
        seed=seed, seconds=60 * options.minutes, nodes=options.nodes, clients=options.clients
    )
    print(
        f"seed {seed}: {plan.nodes} nodes, {plan.clients} clients, {plan.seconds:g} s of faults; "
        f"record in {directory}", flush=True,
    )
    outcome = trio.run(partial(_run, plan, directory))
    outcome.write(directory / "chaos.json")
    _show(outcome, directory)
    return 0 if outcome.is_good else 1


async def _run(plan: Plan, directory: Path) -> Outcome:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("starting", total=plan.seconds)

        def tell(what: str, at: float) -> None:
            if console.is_terminal:
                progress.update(bar, description=what, completed=at)
            else:
                print(f"  {what}", file=sys.stderr, flush=True)

        return await run(plan, directory, tell)


def _show(outcome: Outcome, directory: Path) -> None:
    table = Table(title=f"interruptions by fault, seconds; bound {BOUND:g}")
    for column in ("fault", "times", "clients", "P50", "P99", "worst"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for line in outcome.lines:
        table.add_row(
            line.fault, str(line.times), str(line.clients), f"{line.p50:.2f}", f"{line.p99:.2f}",
            f"{line.worst:.2f}",
        )
    console = Console()
    console.print(table)
    print(outcome.verdict)
    for problem in outcome.problems:
        print(f"problem: {problem}")
    for fault in outcome.late:
        print(f"too long: {fault}")
    if outcome.smallest:
        print(f"smallest history that breaks the same promise ({len(outcome.smallest)} events):")
        for event in outcome.smallest[:100]:
            print(f"    {event}")
    print(f"{'GOOD' if outcome.is_good else 'BAD'}; everything is in {directory}")
    if not outcome.is_good:
        minutes = outcome.plan.seconds / 60
        print(f'again: make chaos CHAOS="--seed {outcome.plan.seed} --minutes {minutes:g}"')


if __name__ == "__main__":
    sys.exit(main())
