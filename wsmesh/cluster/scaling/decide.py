"""The decision: policy, missing figures, nodes that boot, windows and bounds, in this order."""

from __future__ import annotations

from math import inf

from attrs import evolve, frozen

from wsmesh.cluster.scaling.calendar import bounds_at
from wsmesh.cluster.scaling.policies import wanted
from wsmesh.cluster.scaling.signals import Signals
from wsmesh.config.scaling import ScalingSection


@frozen(kw_only=True)
class Memory:
    """What a leader remembers from one decision to the next.

    :param since: when it began to decide; seconds of its own clock.
    :param advised: what the policy wanted at which time, the newest last.
    :param asked: how many nodes were asked for, and when; those that are missing are on their way.
    """

    since: float
    advised: tuple[tuple[float, int], ...] = ()
    asked: int = 0
    asked_at: float = -inf


@frozen(kw_only=True)
class Decision:
    """How many nodes there should be.

    :param current: that there are, those that are on their way included.
    :param load: of the cluster, as far as it is known.
    :param reason: a word: `steady`, `load`, `window`, `bounds`.
    """

    desired: int
    current: int
    load: float
    reason: str

    @property
    def change(self) -> int:
        """How many more, or fewer."""
        return self.desired - self.current


def decide(
    signals: Signals, section: ScalingSection, memory: Memory, now: float, unix: float
) -> tuple[Decision, Memory]:
    """Decide; return what to remember, too.

    Nodes whose figures are missing count as empty when nodes might be added, and as long as there
    is one nobody is removed.

    :param now: seconds of the leader's clock.
    :param unix: Unix time, for the schedule.
    """
    least, most = bounds_at(section.schedule, unix, (section.min_nodes, section.max_nodes))
    booting = 0
    if now - memory.asked_at < section.boot_timeout:
        booting = max(0, memory.asked - signals.size)
    current = signals.size + booting
    advice = wanted(section, signals.connections, current, signals.capacity)
    if not signals.is_complete:
        advice = max(advice, current)
    window = max(section.up_window, section.down_window)
    advised = (*(each for each in memory.advised if now - each[0] <= window), (now, advice))
    steadied = _steadied(section, memory.since, advised, current, now)
    desired = min(max(steadied, least), most)
    reason = "load"
    if desired != steadied:
        reason = "bounds"
    elif desired == current:
        reason = "steady" if advice == current else "window"
    size = max(1, current) * max(1.0, signals.capacity)
    decision = Decision(
        desired=desired, current=current, load=signals.connections / size, reason=reason
    )
    memory = evolve(memory, advised=advised)
    if desired > current:
        memory = evolve(memory, asked=desired, asked_at=now)
    elif desired < current:
        memory = evolve(memory, asked=0, asked_at=-inf)
    return decision, memory


def _steadied(
    section: ScalingSection, since: float, advised: tuple[tuple[float, int], ...], current: int,
    now: float,
) -> int:
    """Return the advice that held throughout its window; who has just begun knows of none."""
    def held(window: float) -> list[int]:
        return [advice for at, advice in advised if now - at <= window]

    if now - since >= section.up_window and (more := min(held(section.up_window))) > current:
        return more
    if now - since >= section.down_window and (fewer := max(held(section.down_window))) < current:
        return fewer
    return current
