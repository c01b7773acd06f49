"""Outcomes: what is kept of a run, as values that processes hand to each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf

from attrs import frozen

from bench.simulation.choice import parse
from bench.simulation.engine import Simulation
from bench.simulation.measures import (
    changes_of,
    measured,
    newcomers,
    relative_loads,
    share_of,
)
from bench.simulation.scenario import Scenario
from bench.simulation.steps import all_nodes
from bench.simulation.trace import Trace
from wsmesh import __version__


@frozen
class Task:
    """One run to do.

    :param keeps_samples: whether the outcome has the lines of samples.
    """

    scenario: Scenario
    strategy: str
    seed: int
    keeps_samples: bool = False


@frozen
class Outcome:
    """One run that was done.

    :param figures: the metrics by name.
    :param moments: when the samples were taken.
    :param peaks: maximum over average at each.
    :param newcomer: the load of the newest node over the average at each, where one joins.
    :param last: loads over the average at the end, one for each serving node.
    :param changes: when who serves changed.
    :param lines: JSON lines of the samples, empty when they are not kept.
    """

    scenario: str
    digest: str
    strategy: str
    seed: int
    figures: dict[str, float]
    moments: tuple[float, ...]
    peaks: tuple[float, ...]
    newcomer: tuple[float, ...]
    last: tuple[float, ...]
    changes: tuple[float, ...]
    events: int
    cpu_seconds: float
    lines: str = ""

    @property
    def line(self) -> str:
        """The run as a JSON line; what did not happen until the end is null."""
        finite = {name: None if each == inf else each for name, each in self.figures.items()}
        return _json(
            {
                "scenario": self.scenario,
                "scenario_hash": self.digest,
                "strategy": self.strategy,
                "seed": self.seed,
                "version": __version__,
                "events": self.events,
                **finite,
            }
        )


def carry_out(task: Task) -> Outcome:
    """Do one run.

    :raises ChoiceError: there is no such strategy.
    """
    scenario, choice = task.scenario, parse(task.strategy)
    trace = Simulation(scenario, choice, task.seed).run()
    groups = all_nodes(scenario)
    newest = max(newcomers(scenario), default=-1)
    relative = [relative_loads(groups, sample) for sample in trace.samples]
    return Outcome(
        scenario=scenario.name,
        digest=scenario.digest,
        strategy=task.strategy,
        seed=task.seed,
        figures=measured(scenario, choice, task.seed, trace),
        moments=tuple(sample.at for sample in trace.samples),
        peaks=tuple(max(each, default=1.0) for each in relative),
        newcomer=()
        if newest < 0
        else tuple(share_of(groups, sample, newest) for sample in trace.samples),
        last=tuple(relative[-1]),
        changes=tuple(changes_of(trace)),
        events=trace.events,
        cpu_seconds=trace.cpu_seconds,
        lines="".join(_lines(task, trace, relative)) if task.keeps_samples else "",
    )


def _lines(task: Task, trace: Trace, relative: list[list[float]]) -> Iterator[str]:
    head = {
        "scenario": task.scenario.name,
        "scenario_hash": task.scenario.digest,
        "strategy": task.strategy,
        "seed": task.seed,
        "version": __version__,
    }
    for sample, loads in zip(trace.samples, relative, strict=True):
        yield _json(
            {
                **head,
                "at": round(sample.at, 6),
                "max_avg": round(max(loads, default=1.0), 6),
                "min_avg": round(min(loads, default=1.0), 6),
                "loads": sample.loads,
                "serving": sample.serving,
                "away": sample.away,
                "arrivals": sample.arrivals,
                "rejected": sample.rejected,
                "refused": sample.refused,
            }
        )


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":")) + "\n"
