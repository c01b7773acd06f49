"""When a cluster cannot be kept, and which of its processes is to blame. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from wsmesh.config.supervisor import SupervisorSection
from wsmesh.config.units import format_duration


@frozen(kw_only=True)
class Standing:
    """How one process stands."""

    name: str
    is_gateway: bool
    is_hopeless: bool
    failures: int
    is_running: bool


@frozen
class Loss:
    """Why the cluster cannot be kept.

    :param name: the process whose words explain it.
    """

    name: str
    reason: str


def find_loss(
    processes: Iterable[Standing], *, was_complete: bool, outage: float, rules: SupervisorSection
) -> Loss | None:
    """Return why to give up, None when the cluster can be kept.

    One node that cannot be kept is no reason while others serve: their clients would be lost for
    it. Before all have served once, it is: somebody is waiting for the start.

    :param was_complete: all processes have served at the same time, once at least.
    :param outage: seconds since any node was running.
    """
    processes = tuple(processes)
    nodes = [each for each in processes if not each.is_gateway]
    hopeless = [each for each in processes if each.is_hopeless]
    for each in hopeless:
        if not was_complete or each.is_gateway or all(node.is_hopeless for node in nodes):
            times = "once" if each.failures == 1 else f"{each.failures} times in a row"
            return Loss(each.name, f"{each.name} failed {times}")
    if nodes and outage >= rules.give_up_outage and not any(node.is_running for node in nodes):
        worst = max(nodes, key=lambda node: node.failures)
        return Loss(worst.name, f"no node was running for {format_duration(rules.give_up_outage)}")
    return None
