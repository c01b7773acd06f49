"""What a run leaves behind: samples, and what each change of the topology did."""

from __future__ import annotations

from attrs import define, field, frozen

from bench.simulation.steps import Action


@frozen
class Sample:
    """The cluster at one moment.

    :param loads: clients of every node, by its number.
    :param serving: the nodes that are up and accept.
    :param away: clients who are on no node.
    :param arrivals: clients that each node took since the last sample.
    :param rejected: attempts that ended without a node, since the start.
    :param refused: refusals by single nodes, since the start.
    """

    at: float
    loads: tuple[int, ...]
    serving: tuple[int, ...]
    away: int
    arrivals: tuple[int, ...]
    rejected: int
    refused: int


@define
class Change:
    """A change of who serves.

    :param before: nodes that served, by number, with the ids they had.
    :param after: those that serve from now on.
    :param landed: node -> clients of the lost nodes that it took.
    """

    at: float
    action: Action
    nodes: tuple[int, ...]
    before: dict[int, str]
    after: dict[int, str]
    landed: dict[int, int] = field(factory=dict)


@frozen
class Trace:
    """A whole run.

    :param events: arrivals, ends, returns, reports and steps that were carried out.
    :param full_node_seconds: how long nodes were full, in all.
    :param cpu_seconds: processor time that it took; the only thing that a seed does not decide.
    """

    samples: tuple[Sample, ...]
    changes: tuple[Change, ...]
    events: int
    full_node_seconds: float
    cpu_seconds: float
