"""One channel that this node hears: where it is, and what to do with a message. Pure.

A channel is in step while each publication follows the one before. When one does not, it and all
later ones wait until the missing ones were read. Messages do not change the epoch: a former master
may still talk, so what is of another epoch waits too, until a read has told which one holds.
"""

from __future__ import annotations

from enum import Enum, auto

from attrs import define, field, frozen

from wsmesh.protocol.messages import Publication
from wsmesh.store.interface import Position
from wsmesh.store.redis.keys import ChannelKeys

MOST_WAITING = 1024
"""Publications that wait for missing ones at most, for each channel."""

FORMER = 8
"""Abandoned epochs that are remembered."""


class Verdict(Enum):
    """What to do with a publication."""

    DELIVER = auto()
    DUPLICATE = auto()
    STALE = auto()
    """It is of an epoch that does not hold (any more)."""
    WAITS = auto()
    REPAIR = auto()
    """It waits, and nobody is reading what is missing yet."""
    OVERFLOW = auto()
    """It waits, and more than that cannot."""


class Learned(Enum):
    """What a read of the stream's top means."""

    NOTHING = auto()
    OUTDATED = auto()
    """A read that began later was learned from already."""
    GAP = auto()
    """The epoch is another one: what was between is lost."""


Waiting = tuple[str, int, Publication]
"""Epoch, offset, publication."""


@frozen(slots=True)
class Reading:
    """The state of a track when a read of its stream began.

    :ivar number: of the read; Redis executes them in this order.
    :ivar gaps: `Track.gaps`.
    :ivar heard: `Track.heard`; 0 for the first read, which whoever subscribed just now makes.
    :ivar waiting: how many publications waited.
    """

    number: int
    gaps: int
    heard: int
    waiting: int


@define(eq=False)
class Track:
    """The state of a channel.

    :ivar epoch: empty: not known yet.
    :ivar offset: every publication up to here was delivered, or need not be.
    :ivar known: the highest offset of the epoch that was ever seen or acknowledged.
    :ivar is_settled: publications up to `offset` can only be duplicates. Not so between the first
        read of an epoch and the moment when all that was published before it has been heard.
    :ivar waiting: what waits for missing publications; None: nothing is missing.
    :ivar gaps: how often publications of it were lost.
    :ivar heard: publications with a position that were delivered.
    """

    keys: ChannelKeys
    epoch: str = ""
    offset: int = 0
    known: int = 0
    is_settled: bool = False
    waiting: list[Waiting] | None = None
    gaps: int = 0
    heard: int = 0
    _former: tuple[str, ...] = field(default=(), init=False)
    _reads: int = field(default=0, init=False)
    _learned: int = field(default=0, init=False)

    def take(self, epoch: str, offset: int, publication: Publication) -> Verdict:
        """Decide about a publication that was heard; offset 0 is one without a position."""
        if self.waiting is not None:
            self.waiting.append((epoch, offset, publication))
            return Verdict.WAITS if len(self.waiting) < MOST_WAITING else Verdict.OVERFLOW
        if not offset:
            return Verdict.DELIVER
        if epoch == self.epoch:
            if offset == self.offset + 1:
                self._is_at(offset)
                return Verdict.DELIVER
            if offset <= self.offset:
                if self.is_settled:
                    return Verdict.DUPLICATE
                # It was on its way when the read counted it, and so is all that follows it.
                self.offset = offset
                self.is_settled = True
                return Verdict.DELIVER
            self.known = max(self.known, offset)
            self.waiting = [(epoch, offset, publication)]
            return Verdict.REPAIR
        if epoch in self._former:
            return Verdict.STALE
        if not self.epoch:
            self._begin(epoch)
            self._is_at(offset)
            return Verdict.DELIVER
        self.waiting = [(epoch, offset, publication)]
        return Verdict.REPAIR

    def begin_read(self) -> Reading:
        """Note that a read of the stream begins; what it finds is `learn`ed with the note."""
        self._reads += 1
        heard = self.heard if self._reads > 1 else 0
        return Reading(self._reads, self.gaps, heard, len(self.waiting or ()))

    def learn(self, top: Position, reading: Reading) -> Learned:
        """Take note of the stream's top as a read found it."""
        if reading.number < self._learned:
            return Learned.OUTDATED
        self._learned = reading.number
        if top.epoch == self.epoch:
            self.known = max(self.known, top.offset)
            return Learned.NOTHING
        is_first = not self.epoch
        self._begin(top.epoch)
        self.offset = self.known = top.offset
        return Learned.NOTHING if is_first else Learned.GAP

    def is_in_step(self, top: Position) -> bool:
        """Whether everything up to `top` was delivered and nothing of it can still arrive."""
        return self.is_settled and self.offset >= top.offset and self.epoch == top.epoch

    def acknowledged(self, position: Position) -> None:
        """Somebody was told that this position exists."""
        if position.epoch == self.epoch and position.offset > self.known:
            self.known = position.offset

    def forget(self) -> None:
        """The stream is no more; the next one has another epoch."""
        self._begin("")
        self.offset = self.known = 0

    def begin_repair(self) -> None:
        """Let later publications wait although none arrived early."""
        if self.waiting is None:
            self.waiting = []

    def repaired(self, publication: Publication) -> bool:
        """Take a publication that was read; False: it was delivered already."""
        if publication.offset <= self.offset:
            return False
        self._is_at(publication.offset)
        return True

    def release(self) -> list[Waiting]:
        """Return what waits; nothing waits any more."""
        waiting, self.waiting = self.waiting or [], None
        return waiting

    def jump(self, epoch: str, offset: int) -> bool:
        """Go to a position whatever is missing before it; False: it was passed already."""
        if not offset:
            return True
        if epoch in self._former:
            return False
        if epoch == self.epoch and offset <= self.offset:
            return False
        if epoch != self.epoch:
            self._begin(epoch)
        self._is_at(offset)
        return True

    def _is_at(self, offset: int) -> None:
        self.offset = offset
        self.known = max(self.known, offset)
        self.is_settled = True

    def _begin(self, epoch: str) -> None:
        former = (*self._former, self.epoch)[-FORMER:]
        self._former = tuple(each for each in former if each not in ("", epoch))
        self.epoch = epoch
        self.offset = self.known = 0
        self.is_settled = False
