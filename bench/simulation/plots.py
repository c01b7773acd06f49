"""Plots of outcomes, as PNG and SVG, with what would be ideal on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import inf, isfinite
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.simulation.measures import FULL_SHARE, METRICS
from bench.simulation.outcome import Outcome
from bench.simulation.scenario import Scenario
from bench.simulation.writing import Summary

# M. Okabe and K. Ito's palette, which people see apart whatever colours they see; no yellow, for
# it is faint on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
IDEAL: dict[str, Any] = {
    "color": "#333333", "linewidth": 1.1, "linestyle": (0, (6, 3)), "zorder": 3,
}

_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",
    "font.size": 9.0,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    # Names inside the file depend on its content alone.
    "svg.hashsalt": "wsmesh",
}


def drawn(
    scenarios: Sequence[Scenario], strategies: Sequence[str], done: Sequence[Outcome],
    summary: Summary, out: Path,
) -> list[Path]:
    """Write every plot that the outcomes have data for; return the files.

    The same outcomes give the same SVG, byte by byte.
    """
    out.mkdir(parents=True, exist_ok=True)
    looks = {name: number for number, name in enumerate(strategies)}
    files: list[Path] = []
    for scenario in scenarios:
        own: dict[str, list[Outcome]] = {name: [] for name in strategies}
        for outcome in done:
            if outcome.scenario == scenario.name:
                own[outcome.strategy].append(outcome)
        with _page(out / f"{scenario.name}-balance", files, scenario, "Balance over time") as axes:
            peaks = {name: _medians(each, "peaks", scenario) for name, each in own.items()}
            top = _ceiling(peaks)
            _over_time(axes, peaks, looks, top)
            axes.set_ylim(1 - (top - 1) / 20, top)
            _mark_changes(axes, next(iter(own.values()))[0].changes)
            axes.axhline(1.0, label="ideal", **IDEAL)
            axes.set_ylabel("load of the fullest node / average")
        with _page(out / f"{scenario.name}-loads", files, scenario, "Loads at the end") as axes:
            _shares(axes, own, looks)
        if any(each[0].newcomer for each in own.values()):
            with _page(out / f"{scenario.name}-newcomer", files, scenario, "A new node") as axes:
                grown = {
                    name: _medians(each, "newcomer", scenario) for name, each in own.items()
                }
                _over_time(axes, grown, looks, inf)
                _mark_changes(axes, next(iter(own.values()))[0].changes)
                axes.axhline(1.0, label="ideal", **IDEAL)
                axes.axhline(FULL_SHARE, color="#999999", linewidth=0.8, label="counts as full")
                axes.set_ylabel("load of the new node / average")
        files += _bars(scenario, strategies, summary, out, looks)
    files += _scatter(scenarios, strategies, summary, out, looks)
    return files


@contextmanager
def _page(stem: Path, files: list[Path], scenario: Scenario, title: str) -> Iterator[Axes]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.0, 4.8), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(f"{title}: {scenario.name}", loc="left")
        yield axes
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
        files += _saved(figure, stem)


def _saved(figure: Figure, stem: Path) -> Iterable[Path]:
    svg, png = stem.with_suffix(".svg"), stem.with_suffix(".png")
    figure.savefig(svg, metadata={"Date": None})
    figure.savefig(png, dpi=150)
    return svg, png


def _medians(
    own: Sequence[Outcome], series: str, scenario: Scenario
) -> tuple[Sequence[float], Sequence[float]]:
    """Return moments after the warm-up, and medians over the seeds."""
    columns = zip(*(getattr(each, series) for each in own), strict=True)
    values = [median(column) for column in columns]
    cut = sum(at < scenario.warm_up for at in own[0].moments)
    return own[0].moments[cut:], values[cut:]


def _ceiling(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> float:
    """Return where to cut an axis, so that one strategy far off does not flatten the others."""
    highest = [max(values) for _, values in lines.values()]
    return 1 + 1.05 * max(min(max(highest) - 1, 2 * (median(highest) - 1)), 0.01)


def _over_time(
    axes: Axes, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    looks: Mapping[str, int], top: float,
) -> None:
    for name, (moments, values) in lines.items():
        label = name if max(values) <= top else f"{name} (up to {max(values):.2f})"
        axes.plot(moments, values, label=label, linewidth=1.4, **_line(looks[name]))
    axes.set_xlabel("time [s]")


def _mark_changes(axes: Axes, changes: Sequence[float]) -> None:
    for number, at in enumerate(changes):
        axes.axvline(
            at, color="#bbbbbb", linewidth=0.9, zorder=0,
            label="nodes come or go" if number == 0 else None,
        )


def _shares(axes: Axes, own: Mapping[str, Sequence[Outcome]], looks: Mapping[str, int]) -> None:
    for name, each in own.items():
        loads = sorted(load for outcome in each for load in outcome.last)
        if loads:
            parts = [(number + 1) / len(loads) for number in range(len(loads))]
            axes.step(
                loads, parts, where="post", label=name, linewidth=1.4, **_line(looks[name])
            )
    axes.axvline(1.0, label="ideal", **IDEAL)
    axes.set_xlabel("load of a node / average")
    axes.set_ylabel("share of nodes with at most this load")


def _bars(
    scenario: Scenario, strategies: Sequence[str], summary: Summary, out: Path,
    looks: Mapping[str, int],
) -> Iterable[Path]:
    shown = [
        metric
        for metric in dict.fromkeys((scenario.headline, "max_avg", "min_avg", "moved", "herd"))
        if any(isfinite(_value(summary, scenario, each, metric)) for each in strategies)
    ]
    with matplotlib.rc_context(_STYLE):
        height = 1.6 + 0.26 * len(strategies)
        figure = Figure(figsize=(2.6 * len(shown) + 1.6, height), layout="constrained")
        figure.suptitle(f"Metrics: {scenario.name} (medians, 95 % intervals)", x=0.01, ha="left")
        panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, shown, strict=True):
            for row, name in enumerate(strategies):
                found = summary.get((scenario.name, name, metric))
                if found is None or not isfinite(found.median):
                    axes.text(
                        0.02, row, "-" if found is None else "never", va="center",
                        transform=axes.get_yaxis_transform(), fontsize=7,
                    )
                    continue
                high = found.high if found.high < inf else found.median
                errors = [[found.median - found.low], [high - found.median]]
                axes.barh(
                    row, found.median, xerr=errors, height=0.7,
                    color=PALETTE[looks[name] % len(PALETTE)], error_kw={"elinewidth": 0.8},
                )
            axes.axvline(METRICS[metric].ideal, **IDEAL)
            axes.set_xlabel(METRICS[metric].label, fontsize=8)
        panels[0].set_yticks(range(len(strategies)), strategies)
        panels[0].invert_yaxis()
        return _saved(figure, out / f"{scenario.name}-metrics")


def _scatter(
    scenarios: Sequence[Scenario], strategies: Sequence[str], summary: Summary, out: Path,
    looks: Mapping[str, int],
) -> Iterable[Path]:
    """One point for each strategy: medians over the scenarios in which who serves changes."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(8.0, 5.0), layout="constrained")
        axes = figure.add_subplot()
        axes.set_title("Imbalance and churn, over scenarios with changes", loc="left")
        points = 0
        for name in strategies:
            pairs = [
                (_value(summary, each, name, "moved"), _value(summary, each, name, "max_avg"))
                for each in scenarios
                if (each.name, name, "moved") in summary
            ]
            if pairs:
                x, y = (median(column) for column in zip(*pairs, strict=True))
                points += 1
                axes.scatter(
                    [x], [y], s=46, label=name, color=PALETTE[looks[name] % len(PALETTE)],
                    marker=MARKERS[looks[name] % len(MARKERS)],
                )
        if not points:
            return ()
        axes.axvline(1.0, label="ideal", **IDEAL)
        axes.axhline(1.0, **IDEAL)
        axes.set_xlabel("keys moved / minimum")
        axes.set_ylabel("load of the fullest node / average, over time")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)
        return _saved(figure, out / "imbalance-churn")


def _value(summary: Summary, scenario: Scenario, strategy: str, metric: str) -> float:
    found = summary.get((scenario.name, strategy, metric))
    return inf if found is None else found.median


def _line(look: int) -> dict[str, Any]:
    return {
        "color": PALETTE[look % len(PALETTE)],
        # Not the same round as the colours: lines that cover each other show through.
        "linestyle": DASHES[look % len(DASHES)],
    }
