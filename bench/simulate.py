"""Strategies in a simulated cluster: balance, churn and herds, side by side.

Run: `python -m bench simulate --quick`, or `--help`. docs/simulator.md explains the rest.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bench.simulation.choice import ChoiceError, known_strategies, parse
from bench.simulation.measures import METRICS
from bench.simulation.outcome import Outcome
from bench.simulation.picks import picked
from bench.simulation.runs import SAMPLED_SEEDS, outcomes, tasks_of
from bench.simulation.scenario import Scenario, ScenarioError, load, shipped
from bench.simulation.writing import Summary, as_csv, as_markdown, as_table, summarized
from wsmesh.config.faults import did_you_mean

FULL_SEEDS, QUICK_SEEDS = 30, 3

HELP = """Compare balancing strategies in a simulated cluster.

    \b
    python -m bench simulate --quick
        Every strategy in every scenario, three seeds each: a first look.
    python -m bench simulate --scenario storm --strategy p2c --strategy least_connections
        Some of them, thirty seeds.
    python -m bench simulate --out results --jobs 2
        All, with figures, samples, tables and plots in the directory.
    python -m bench simulate --strategy p2c --strategy p2c+slow_start:window=60
        Options follow a colon, modifiers a plus sign.
    python -m bench simulate --picks 1000000 --strategy p2c
        Nothing but picks: how fast, and how even.

Seeds are paired: with one seed every strategy sees the same clients. A scenario and a seed give
the same results always and everywhere. Scenarios: {scenarios}; others are files in the same
format. Ideals and meanings of the figures are in docs/simulator.md.
""".format(scenarios=", ".join(shipped()))


@click.command(help=HELP)
@click.option("--strategy", "strategies", multiple=True, metavar="NAME[:OPTION=VALUE][+MODIFIER]",
              help="A strategy; repeat for several. Default: all.")
@click.option("--scenario", "names", multiple=True, metavar="NAME|FILE",
              help="A scenario; repeat for several. Default: all that come with the simulator.")
@click.option("--seeds", type=click.IntRange(1), help="Runs of each; default 30, with --quick 3.")
@click.option("--quick", is_flag=True, help="Few seeds: intervals are wide.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              help="Write runs.jsonl, samples.jsonl, summary.csv, summary.md and plots/ here.")
@click.option("--no-plots", is_flag=True, help="Leave out the plots, which need matplotlib.")
@click.option("--samples", type=click.IntRange(0), default=SAMPLED_SEEDS, show_default=True,
              help="Seeds of which samples.jsonl has the samples.")
@click.option("--jobs", type=click.IntRange(1), default=lambda: len(os.sched_getaffinity(0)),
              help="Processes; default: one for each core.")
@click.option("--picks", type=click.IntRange(1), help="Only pick so often, and say how fast.")
@click.option("--nodes", type=click.IntRange(1), default=10, show_default=True,
              help="Nodes to pick from, with --picks.")
def main(
    strategies: Sequence[str], names: Sequence[str], seeds: int | None, quick: bool,
    out: Path | None, no_plots: bool, samples: int, jobs: int, picks: int | None, nodes: int,
) -> None:
    """Run the command."""
    strategies = list(dict.fromkeys(strategies)) or sorted(known_strategies())
    try:
        choices = [parse(text) for text in strategies]
        scenarios = [_scenario(name) for name in dict.fromkeys(names or shipped())]
    except (ChoiceError, ScenarioError) as error:
        raise click.UsageError(str(error)) from error
    if picks is not None:
        click.echo(f"{'strategy':<28}{'picks/s':>12}{'max/avg':>9}{'min/avg':>9}   (ideal 1)")
        for choice in choices:
            said = picked(choice, picks, nodes, seed=1)
            figures = f"{said.per_second:>12,.0f}{said.max_avg:>9.3f}{said.min_avg:>9.3f}"
            click.echo(f"{choice.text:<28}{figures}")
        return
    plots = out is not None and not no_plots
    if plots:
        _check_matplotlib()
    seeds = seeds or (QUICK_SEEDS if quick else FULL_SEEDS)
    kept = samples if out is not None else 0
    done = _run(scenarios, strategies, seeds, kept, jobs)
    summary = summarized(done)
    console = Console(width=None if Console().is_terminal else 200)
    console.print(as_table(scenarios, strategies, summary))
    _say_speed(done)
    if out is not None:
        _write(out, scenarios, strategies, done, summary)
        if plots:
            from bench.simulation.plots import drawn

            drawn(scenarios, strategies, done, summary, out / "plots")
        click.echo(f"results are in {out}")


def _scenario(name: str) -> Scenario:
    known = shipped()
    path = known.get(name) or Path(name)
    if name not in known and not path.is_file():
        there = ", ".join(known)
        raise ScenarioError(
            f"no scenario {name!r}{did_you_mean(name, known)} (there are {there}), nor such a file"
        )
    scenario = load(path)
    if scenario.headline not in METRICS:
        nearest = did_you_mean(scenario.headline, METRICS)
        raise ScenarioError(f"{path}: headline: no metric {scenario.headline!r}{nearest}")
    return scenario


def _check_matplotlib() -> None:
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise click.UsageError(
            "plots need matplotlib: pip install 'wsmesh[bench]', or say --no-plots"
        ) from error


def _run(
    scenarios: Sequence[Scenario], strategies: Sequence[str], seeds: int, kept: int, jobs: int
) -> list[Outcome]:
    tasks = tasks_of(scenarios, strategies, seeds, kept)
    done = []
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("runs", total=len(tasks))
        for outcome in outcomes(tasks, jobs):
            done.append(outcome)
            progress.update(
                bar, advance=1, description=f"{outcome.scenario}: {outcome.strategy}"
            )
    return done


def _say_speed(done: Sequence[Outcome]) -> None:
    """Print events per second of one core, of the fastest run and over all."""
    events = sum(each.events for each in done)
    overall = events / sum(each.cpu_seconds for each in done)
    fastest = max(done, key=lambda each: each.events / each.cpu_seconds)
    click.echo(
        f"{events:,} events, {overall:,.0f} per second of processor time (fastest: "
        f"{fastest.strategy} in {fastest.scenario}, {fastest.events / fastest.cpu_seconds:,.0f})"
    )


def _write(
    out: Path, scenarios: Sequence[Scenario], strategies: Sequence[str],
    done: Sequence[Outcome], summary: Summary,
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "runs.jsonl").write_text("".join(each.line for each in done))
    with (out / "samples.jsonl").open("w") as file:
        file.writelines(each.lines for each in done)
    (out / "summary.csv").write_text(as_csv(scenarios, summary))
    (out / "summary.md").write_text(as_markdown(scenarios, strategies, done))


if __name__ == "__main__":
    main()
