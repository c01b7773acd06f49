"""What happens to single nodes, in order: the events of a scenario, taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from attrs import frozen

from bench.simulation.scenario import Event, NodeGroup, Scenario


class Action(IntEnum):
    """What a step does to its nodes."""

    CRASH = 0
    """Gone, with clients and without notice."""
    DRAIN = 1
    """No new clients; those who are there are sent elsewhere."""
    STOP = 2
    """Gone, after a drain."""
    START = 3
    """Up, as a new incarnation, without clients."""
    RESUME = 4
    """Accepts again after a drain."""


LOSSES = frozenset({Action.CRASH, Action.DRAIN})
"""Actions after which keys of the nodes belong elsewhere."""

GAINS = frozenset({Action.START, Action.RESUME})
"""Actions after which keys may belong to the nodes."""


@frozen
class Step:
    """One action on some nodes (by number) at one moment.

    :param over: seconds within which the clients of a drained node are sent elsewhere.
    """

    at: float
    action: Action
    nodes: tuple[int, ...]
    over: float = 0.0


def all_nodes(scenario: Scenario) -> list[NodeGroup]:
    """Return the group of every node that will ever be there, by its number."""
    joining = [event.group for event in ordered(scenario) if event.group is not None]
    return [group for group in (*scenario.nodes, *joining) for _ in range(group.count)]


def ordered(scenario: Scenario) -> list[Event]:
    """Return the events by time."""
    return sorted(scenario.events, key=lambda event: event.at)


def steps_of(scenario: Scenario) -> list[Step]:
    """Return what happens to nodes, by time."""
    groups = [group for group in scenario.nodes for _ in range(group.count)]
    joined = len(groups)
    steps: list[Step] = []
    for event in ordered(scenario):
        if event.group is not None:
            numbers = tuple(range(joined, joined + event.group.count))
            joined += event.group.count
            steps.append(Step(event.at, Action.START, numbers))
            continue
        inside = (
            number for number, group in enumerate(groups) if group.zone == event.zone
        )
        steps += _expanded(event, tuple(sorted({*event.nodes, *inside})))
    return sorted(steps, key=lambda step: step.at)


def _expanded(event: Event, nodes: tuple[int, ...]) -> Iterator[Step]:
    at = event.at
    match event.kind:
        case "crash" | "flap":
            for _ in range(event.times):
                yield Step(at, Action.CRASH, nodes)
                if event.down:
                    yield Step(at + event.down, Action.START, nodes)
                at += event.down + event.up
        case "leave" | "drain":
            yield Step(at, Action.DRAIN, nodes, event.over)
            if event.kind == "leave":
                yield Step(at + event.over, Action.STOP, nodes)
            elif event.down:
                yield Step(at + event.over + event.down, Action.RESUME, nodes)
        case "deploy":
            for node in nodes:
                yield Step(at, Action.DRAIN, (node,), event.over)
                yield Step(at + event.over, Action.STOP, (node,))
                yield Step(at + event.over + event.down, Action.START, (node,))
                at += event.over + event.down + event.up
