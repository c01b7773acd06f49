"""Metrics: the figures that a run is reduced to, and how each is defined.

Loads are clients over weight, of the nodes that serve at that moment. Averages over time are those
of samples after the warm-up, which are equally far apart. Sources: Dynamo (SOSP 2007) for maximum
over average, R. Jain et al. (DEC-TR-301, 1984) for the fairness index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf, sqrt
from statistics import fmean

from attrs import frozen

from bench.simulation.choice import Choice
from bench.simulation.disruption import disruption
from bench.simulation.scenario import NodeGroup, Scenario
from bench.simulation.steps import GAINS, LOSSES, all_nodes
from bench.simulation.trace import Sample, Trace

FULL_SHARE = 0.9
"""A new node is filled at this share of the average."""


@frozen
class Metric:
    """One figure.

    :param label: with its unit, for tables and axes.
    :param ideal: what no strategy can do better than.
    :param higher_is_better: as it says.
    """

    label: str
    ideal: float
    about: str
    higher_is_better: bool = False


METRICS: Mapping[str, Metric] = {
    "max_avg": Metric("max/avg, over time", 1, "the most loaded node over the average load"),
    "max_avg_end": Metric("max/avg, at the end", 1, "the same in the last sample"),
    "min_avg": Metric("min/avg, over time", 1, "the least loaded node over the average", True),
    "min_avg_end": Metric("min/avg, at the end", 1, "the same in the last sample", True),
    "cv": Metric("coefficient of variation", 0, "standard deviation of loads over the average"),
    "jain": Metric("Jain index", 1, "square of the sum over n times the sum of squares", True),
    "over_125": Metric("share of time above 1.25", 0, "samples with max/avg above 1.25"),
    "moved": Metric(
        "keys moved / minimum", 1,
        "keys that belong elsewhere after changes of who serves, over those that had to move",
    ),
    "herd": Metric(
        "herd share", 1,
        "of clients who lost their node, the worst survivor's share over its fair one",
    ),
    "fill_s": Metric("time to fill a new node [s]", 0, "until it has 90 % of the average load"),
    "peak_arrivals": Metric(
        "peak arrivals / fair", 1,
        "most arrivals at a new node between samples, over its fair share",
    ),
    "full_s": Metric("full nodes [node s]", 0, "time that nodes spent at their capacity"),
    "rejected": Metric("rejected attempts", 0, "attempts that ended without a node"),
    "refused": Metric("refusals by nodes", 0, "nodes that did not take the client sent to them"),
}
"""By name; those that a scenario gives no meaning are left out of its results."""


def relative_loads(groups: Sequence[NodeGroup], sample: Sample) -> list[float]:
    """Return each serving node's load over the average load; 1 for all in an empty cluster."""
    loads = sum(sample.loads[node] for node in sample.serving)
    weights = sum(groups[node].weight for node in sample.serving)
    if not loads:
        return [1.0] * len(sample.serving)
    average = loads / weights
    return [sample.loads[node] / groups[node].weight / average for node in sample.serving]


def newcomers(scenario: Scenario) -> dict[int, float]:
    """Return number -> moment of the nodes that join."""
    first = sum(group.count for group in scenario.nodes)
    joins = sorted(
        (event for event in scenario.events if event.group is not None), key=lambda each: each.at
    )
    moments = [event.at for event in joins for _ in range(event.group.count if event.group else 0)]
    return dict(enumerate(moments, first))


def measured(scenario: Scenario, choice: Choice, seed: int, trace: Trace) -> dict[str, float]:
    """Return the figures of a run; infinite where something did not happen until the end."""
    groups = all_nodes(scenario)
    steady = [sample for sample in trace.samples if sample.at >= scenario.warm_up]
    relative = [relative_loads(groups, sample) or [1.0] for sample in steady]
    peaks, ebbs = [max(each) for each in relative], [min(each) for each in relative]
    figures = {
        "max_avg": fmean(peaks),
        "max_avg_end": peaks[-1],
        "min_avg": fmean(ebbs),
        "min_avg_end": ebbs[-1],
        "cv": fmean(_variation(each) for each in relative),
        "jain": fmean(_jain(each) for each in relative),
        "over_125": fmean(peak > 1.25 for peak in peaks),
    }
    moved, least = disruption(groups, choice, seed, trace.changes)
    if least:
        figures["moved"] = moved / least
    if herds := list(_herds(groups, trace)):
        figures["herd"] = max(herds)
    if new := newcomers(scenario):
        figures["fill_s"] = max(
            _filled(groups, trace.samples, node, at) for node, at in new.items()
        )
        figures["peak_arrivals"] = max(
            _peak(groups, trace.samples, node, at) for node, at in new.items()
        )
    last = trace.samples[-1]
    return {
        **figures,
        "full_s": trace.full_node_seconds,
        "rejected": last.rejected,
        "refused": last.refused,
    }


def _variation(relative: Sequence[float]) -> float:
    mean = fmean(relative)
    return sqrt(fmean((each - mean) ** 2 for each in relative)) / mean


def _jain(relative: Sequence[float]) -> float:
    squares = sum(each * each for each in relative)
    return sum(relative) ** 2 / (len(relative) * squares) if squares else 1.0


def _herds(groups: Sequence[NodeGroup], trace: Trace) -> Iterable[float]:
    for change in trace.changes:
        landed = sum(change.landed.values())
        # Shares of fewer clients than nodes are not about herds.
        if change.action in LOSSES and landed >= 10 * len(change.after):
            weights = sum(groups[node].weight for node in change.after)
            yield max(
                count / landed / (groups[node].weight / weights)
                for node, count in change.landed.items()
            )


def share_of(groups: Sequence[NodeGroup], sample: Sample, node: int) -> float:
    """Return the load of a node over the average load; 0 when it does not serve."""
    relative = dict(zip(sample.serving, relative_loads(groups, sample), strict=True))
    return relative.get(node, 0.0)


def _filled(groups: Sequence[NodeGroup], samples: Sequence[Sample], node: int, at: float) -> float:
    for sample in samples:
        if sample.at >= at and share_of(groups, sample, node) >= FULL_SHARE:
            return sample.at - at
    return inf


def _peak(groups: Sequence[NodeGroup], samples: Sequence[Sample], node: int, at: float) -> float:
    most = 0.0
    for sample in samples:
        arrived = sum(sample.arrivals)
        if sample.at > at and arrived and node in sample.serving:
            fair = groups[node].weight / sum(groups[each].weight for each in sample.serving)
            most = max(most, sample.arrivals[node] / arrived / fair)
    return most


def changes_of(trace: Trace) -> list[float]:
    """Return the moments at which who serves changed."""
    return [change.at for change in trace.changes if change.action in LOSSES | GAINS]
