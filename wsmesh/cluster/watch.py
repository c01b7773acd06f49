"""What a detector holds for and against one node that it probes."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import define

from wsmesh.cluster.actions import Action, Clear, Suspect, Withdraw
from wsmesh.cluster.nodes import Identity

CALM = 10.0
"""Seconds without a new suspicion after which an old one no longer counts."""
MOST_FLAPS = 4


@define
class Outstanding:
    """A probe without an answer yet."""

    number: int
    deadline: float
    is_excused: bool = False
    is_relayed: bool = False


@define(kw_only=True)
class Watch:
    """One incarnation under watch.

    :param next_probe: when the next one goes out, at the latest.
    :param misses: probes in a row that nobody answered, neither directly nor through others.
    :param is_linked: the mesh link to it is open.
    :param is_detoured: it answers others and not this node.
    :param is_refused: its process is gone as far as its host tells.
    """

    target: Identity
    next_probe: float
    is_linked: bool = True
    is_detoured: bool = False
    is_refused: bool = False
    is_suspect: bool = False
    is_accused: bool = False
    misses: int = 0
    outstanding: Outstanding | None = None
    _previous: int | None = None
    _answers: int = 0
    _flaps: int = 0
    _cleared_at: float = float("-inf")

    @property
    def due(self) -> float:
        """When something is to be decided or done."""
        return self.next_probe if self.outstanding is None else self.outstanding.deadline

    def probe(self, number: int, now: float, interval: float, timeout: float) -> None:
        """A probe goes out; the rhythm is kept however long the last answer took."""
        self.outstanding = Outstanding(number, now + timeout)
        self.next_probe += interval
        if self.next_probe <= now or self.next_probe > now + interval:
            self.next_probe = now + interval

    def awaits(self, number: int) -> bool:
        """Whether an answer to this probe still says something: it is the last or the one before.

        Older ones may have been under way while the node died.
        """
        is_last = self.outstanding is not None and self.outstanding.number == number
        return is_last or self._previous == number

    def is_missed(self, now: float, stutter: float) -> bool:
        """Whether the outstanding probe stays unanswered; if so, that is counted.

        When this node comes late, answers may wait to be read, which takes another turn of its
        loop: the probe is given `stutter` seconds once.
        """
        probe = self.outstanding
        if probe is None or now < probe.deadline:
            return False
        if now - probe.deadline > stutter and not probe.is_excused:
            probe.is_excused, probe.deadline = True, now + stutter
            return False
        self._previous, self.outstanding = probe.number, None
        self.misses += 1
        self._answers = 0
        return True

    def answer(self, now: float, *, is_direct: bool) -> Iterator[Action]:
        """The node is alive. A suspected one must answer in a row before it is trusted again."""
        if self.outstanding is not None:
            self._previous, self.outstanding = self.outstanding.number, None
        self.misses = 0
        self.is_refused = False
        self.is_detoured = not is_direct
        self._answers += 1
        yield from self.withdraw()
        if self.is_suspect and self._answers > self._flaps:
            self.is_suspect = False
            self._cleared_at = now
            yield Clear(self.target)

    def suspect(self, now: float) -> Iterator[Action]:
        """Something speaks against the node; if that happens often, it has to answer longer."""
        self._answers = 0
        if self.is_suspect:
            return
        is_calm = now - self._cleared_at > CALM
        self._flaps = 0 if is_calm else min(MOST_FLAPS, self._flaps + 1)
        self.is_suspect = True
        yield Suspect(self.target)

    def withdraw(self) -> Iterator[Action]:
        """What it was accused of no longer stands."""
        if self.is_accused:
            self.is_accused = False
            yield Withdraw(self.target)

    def start_over(self, now: float) -> Iterator[Action]:
        """Forget what was held against it, and old answers: this node was not looking."""
        self._previous = self.outstanding = None
        self.misses = 0
        self.is_refused = False
        self.next_probe = now
        yield from self.withdraw()
