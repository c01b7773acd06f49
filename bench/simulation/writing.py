"""Writing: results as JSON lines, CSV and Markdown, and the table for a terminal."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from math import inf

from rich.markup import escape
from rich.table import Table

from bench.simulation.intervals import Estimate, estimate, shown
from bench.simulation.measures import METRICS
from bench.simulation.outcome import Outcome
from bench.simulation.scenario import Scenario
from wsmesh import __version__

Summary = Mapping[tuple[str, str, str], Estimate]
"""(scenario, strategy, metric) -> median over the seeds."""


def summarized(done: Iterable[Outcome]) -> dict[tuple[str, str, str], Estimate]:
    """Return medians over the seeds."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for outcome in done:
        for metric, figure in outcome.figures.items():
            values.setdefault((outcome.scenario, outcome.strategy, metric), []).append(figure)
    return {place: estimate(figures) for place, figures in values.items()}


def paired(done: Sequence[Outcome], metric: str, base: str) -> dict[tuple[str, str], Estimate]:
    """Return (scenario, strategy) -> how much more than `base` it had, run by run.

    Runs with one seed saw the same clients, so their difference says more than two medians do.
    Pairs in which either is infinite are left out.
    """
    of_base = {
        (each.scenario, each.seed): each.figures[metric]
        for each in done
        if each.strategy == base and metric in each.figures
    }
    gaps: dict[tuple[str, str], list[float]] = {}
    for each in done:
        other = of_base.get((each.scenario, each.seed))
        figure = each.figures.get(metric)
        if other is not None and figure is not None and inf not in (figure, other):
            gaps.setdefault((each.scenario, each.strategy), []).append(figure - other)
    return {place: estimate(values) for place, values in gaps.items()}


def as_csv(scenarios: Sequence[Scenario], summary: Summary) -> str:
    """Return a row for each scenario, strategy and metric."""
    digests = {scenario.name: scenario.digest for scenario in scenarios}
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("scenario", "scenario_hash", "version", "strategy", "metric", "median", "low", "high",
         "runs")
    )
    for (scenario, strategy, metric), each in summary.items():
        writer.writerow(
            (scenario, digests[scenario], __version__, strategy, metric, each.median, each.low,
             each.high, each.runs)
        )
    return text.getvalue()


def as_markdown(
    scenarios: Sequence[Scenario], strategies: Sequence[str], done: Sequence[Outcome]
) -> str:
    """Return the summary and a table for each scenario."""
    summary = summarized(done)
    base = "p2c" if "p2c" in strategies else strategies[0]
    runs = max(each.runs for each in summary.values())
    parts = [
        "# Strategies in the simulator\n",
        f"Medians over {runs} seeds with 95 % bootstrap intervals; wsmesh {__version__}. "
        "`never`: not until the end of the run.\n",
        "## Headlines\n",
        _table(
            ["strategy", *(f"{each.name}: {METRICS[each.headline].label}" for each in scenarios)],
            [
                [strategy, *(_cell(summary, each, strategy, each.headline) for each in scenarios)]
                for strategy in strategies
            ],
        ),
    ]
    for scenario in scenarios:
        metrics = [
            name
            for name in METRICS
            if any((scenario.name, each, name) in summary for each in strategies)
        ]
        gaps = paired(done, scenario.headline, base)
        parts += [
            f"## {scenario.name}\n",
            f"{scenario.about} Scenario {scenario.digest}. The last column compares run by run.\n",
            _table(
                ["strategy", *(METRICS[name].label for name in metrics),
                 f"{METRICS[scenario.headline].label}, minus {base}"],
                [
                    ["ideal", *(shown(METRICS[name].ideal) for name in metrics), ""],
                    *(
                        [
                            strategy,
                            *(_cell(summary, scenario, strategy, name) for name in metrics),
                            str(gaps.get((scenario.name, strategy), "")),
                        ]
                        for strategy in strategies
                    ),
                ],
            ),
        ]
    return "\n".join(parts)


def as_table(
    scenarios: Sequence[Scenario], strategies: Sequence[str], summary: Summary
) -> Table:
    """Return strategies by scenarios with the headline of each, for a terminal."""
    table = Table(title="median and 95 % interval", title_justify="left")
    table.add_column("strategy", no_wrap=True)
    for scenario in scenarios:
        metric = METRICS[scenario.headline]
        table.add_column(
            escape(f"{scenario.name}\n{metric.label}\nideal {shown(metric.ideal)}"),
            justify="right",
        )
    for strategy in strategies:
        cells = [_cell(summary, each, strategy, each.headline) for each in scenarios]
        table.add_row(strategy, *(escape(cell.replace(" [", "\n[")) for cell in cells))
    return table


def _cell(summary: Summary, scenario: Scenario, strategy: str, metric: str) -> str:
    found = summary.get((scenario.name, strategy, metric))
    return "-" if found is None else str(found)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
