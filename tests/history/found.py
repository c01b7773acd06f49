"""What is found in a run: violations and the events that show them, losses, the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from tests.history.events import Event, line_of

#: Violations of one invariant in one channel that are kept with their events; more are counted.
KEPT = 5


@frozen
class Violation:
    """A broken promise.

    :param invariant: I1 to I14.
    :param where: the channel, or the client or session.
    :param events: the fewest events that show it.
    """

    invariant: str
    where: str
    text: str
    events: tuple[Event, ...]


@frozen
class LostMessage:
    """An acknowledged message that nobody got although somebody should have.

    :param place: among the publisher's messages of that channel and epoch that were delivered:
        prefix, middle or postfix; all when none was.
    :param is_excused: every subscriber concerned was told, and the store has kept it (it was read
        there, or its history expired before they came back), or a fault explains the loss.
    """

    mid: str
    ch: str
    epoch: str
    offset: int
    place: str
    is_excused: bool


@define(eq=False)
class Found:
    """Collects what the checks find.

    :param looked_at: for each invariant, how much evidence there was.
    :param gaps: why the run says less than it could.
    """

    violations: list[Violation] = field(factory=list)
    counts: Counter[str] = field(factory=Counter)
    looked_at: Counter[str] = field(factory=Counter)
    sometimes: Counter[str] = field(factory=Counter)
    lost: list[LostMessage] = field(factory=list)
    gaps: list[str] = field(factory=list)
    _kept: Counter[tuple[str, str]] = field(factory=Counter)

    def add(self, invariant: str, where: str, text: str, *events: Event | None) -> None:
        """Note a violation, shown by `events`; None stands for one that is not in the log."""
        self.counts[invariant] += 1
        self._kept[invariant, where] += 1
        if self._kept[invariant, where] <= KEPT:
            known = tuple(event for event in events if event is not None)
            self.violations.append(Violation(invariant, where, text, known))


@frozen
class Verdict:
    """What a run proves.

    :param outcome: `invalid`: a promise was broken; `vacuous`: the run exercised nothing, or not
        what was demanded; `unknown`: the log says too little; `valid`.
    :param counts: violations by invariant, also those that are not kept in `violations`.
    :param sometimes: how often each of S1 to S6 happened.
    :param reasons: why the outcome is vacuous or unknown.
    :param lost: acknowledged messages that nobody got although somebody should have.
    """

    outcome: str
    violations: Sequence[Violation]
    counts: Mapping[str, int]
    looked_at: Mapping[str, int]
    sometimes: Mapping[str, int]
    reasons: Sequence[str]
    lost: Sequence[LostMessage]
    totals: Mapping[str, int]
    sources: Mapping[int, str]

    @property
    def is_valid(self) -> bool:
        """Whether the run exercised what it should, and every promise was kept."""
        return self.outcome == "valid"

    def __str__(self) -> str:
        """Return the verdict in lines for people."""
        lines = [f"verdict: {self.outcome.upper()}", f"seen: {_counted(self.totals)}"]
        lines += [f"  because {reason}" for reason in self.reasons]
        lines.append(f"evidence: {_counted(self.looked_at)}")
        lines.append(f"happened: {_counted(self.sometimes)}")
        if self.counts:
            lines.append(f"violations: {_counted(self.counts)}")
        for violation in self.violations:
            lines.append(f"{violation.invariant} {violation.where}: {violation.text}")
            for event in violation.events:
                lines.append(f"    {self.sources.get(id(event), '')}: {line_of(event)}")
        if self.lost:
            lines.append(f"lost: {_counted(Counter(_kind(message) for message in self.lost))}")
            lines += [
                f"    {each.mid} {each.ch} {each.epoch}/{each.offset} {_kind(each)}"
                for each in self.lost[:20]
            ]
        return "\n".join(lines)


def _kind(message: LostMessage) -> str:
    return f"{message.place}, excused" if message.is_excused else message.place


def _counted(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (item[0][:1], len(item[0]), item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered if count) or "nothing"
