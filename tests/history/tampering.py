"""Ways in which a valid history can be spoilt, each with the invariant that must notice.

A mutation changes the events in place and says whether it found something to change: a history
that it would leave valid it leaves alone.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import TypeVar

from attrs import define, field, frozen

from tests.history import events as ev
from tests.history.events import Event

Kind = TypeVar("Kind")
Logs = dict[str, list[Event]]


@define(eq=False)
class Tale:
    """A history that is about to be spoilt."""

    logs: Logs
    rng: random.Random
    _reaches: dict[tuple[str, str, int], list[ev.Deliver]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.logs = {name: [copy.copy(event) for event in log] for name, log in self.logs.items()}
        for deliver in self.all(ev.Deliver):
            self._reaches.setdefault((deliver.cid, deliver.ch, deliver.seg), []).append(deliver)

    def all(self, kind: type[Kind]) -> list[Kind]:
        """Return the events of one kind; those of one process in their order."""
        return [event for log in self.logs.values() for event in log if isinstance(event, kind)]

    def one(self, candidates: list[Kind]) -> Kind | None:
        """Choose one, None: there is none."""
        return self.rng.choice(candidates) if candidates else None

    def of(self, sub: ev.Sub | ev.EndSeg) -> list[ev.Deliver]:
        """Return what a subscription delivered."""
        return self._reaches.get((sub.cid, sub.ch, sub.seg), [])

    def positioned(self) -> list[ev.Deliver]:
        """Return the deliveries in channels with history."""
        return [deliver for deliver in self.all(ev.Deliver) if deliver.offset]

    def subs(self) -> Iterator[tuple[ev.Sub | None, ev.Sub]]:
        """Yield each subscription with history, after the client's one before it."""
        before: dict[tuple[str, str], ev.Sub] = {}
        for sub in self.all(ev.Sub):
            if sub.epoch:
                yield before.get((sub.cid, sub.ch)), sub
                before[sub.cid, sub.ch] = sub

    def returns(self) -> Iterator[tuple[ev.Sub, ev.Sub]]:
        """Yield each subscription that follows one that had ended before."""
        ends = self.ends()
        for before, sub in self.subs():
            if before is not None and (before.cid, before.ch, before.seg) in ends:
                yield before, sub

    def position_at(self, sub: ev.Sub) -> int:
        """Return the client's position before a subscription, -1: it had none."""
        position = -1
        epoch = ""
        for _, each in self.subs():
            if (each.cid, each.ch) != (sub.cid, sub.ch):
                continue
            if each.seg == sub.seg:
                return position
            if not (each.recovered and each.epoch == epoch):
                position, epoch = each.offset, each.epoch
            position = max([position, *(deliver.offset for deliver in self.of(each))])
        return -1

    def ends(self) -> dict[tuple[str, str, int], str]:
        """Return why each subscription ended."""
        return {(end.cid, end.ch, end.seg): end.why for end in self.all(ev.EndSeg)}

    def log_of(self, event: Event) -> list[Event]:
        """Return the log that holds an event."""
        return next(log for log in self.logs.values() if any(each is event for each in log))

    def remove(self, event: Event) -> None:
        """Take an event out of its log."""
        log = self.log_of(event)
        del log[next(index for index, each in enumerate(log) if each is event)]

    def insert_after(self, event: Event, new: Event) -> None:
        """Put an event behind another, at the same time."""
        log = self.log_of(event)
        new.t = event.t
        log.insert(next(index for index, each in enumerate(log) if each is event) + 1, new)

    def lost_for_good(self) -> list[ev.PubOk]:
        """Return acknowledgements of messages that neither a client nor the store ever had."""
        have = {deliver.mid for deliver in self.all(ev.Deliver)}
        have |= {stored.mid for stored in self.all(ev.Stored)}
        keys = [invoke.key for invoke in self.all(ev.PubInvoke)]
        alone = {
            invoke.mid for invoke in self.all(ev.PubInvoke) if keys.count(invoke.key) == 1
        }
        return [ok for ok in self.all(ev.PubOk)
                if ok.offset and ok.mid in alone and ok.mid not in have and self._concerns(ok)]

    def _concerns(self, ok: ev.PubOk) -> bool:
        """Whether a client that could have got the message subscribed again later."""
        return any(
            before is not None and before.epoch == ok.epoch and sub.epoch != ok.epoch
            and sub.was_recovering and self.position_at(sub) < ok.offset
            for before, sub in self.subs()
        )


@frozen
class Mutation:
    """A way to spoil a history.

    :param caught_by: any of these invariants must notice.
    """

    name: str
    caught_by: frozenset[str]
    spoil: Callable[[Tale], bool]


Spoil = Callable[[Tale], bool]


def listing(mutations: list[Mutation]) -> Callable[..., Callable[[Spoil], Spoil]]:
    """Return a decorator `@mutation("I3", ...)` that appends to a list."""

    def mutation(*caught_by: str) -> Callable[[Spoil], Spoil]:
        def listed(spoil: Spoil) -> Spoil:
            mutations.append(Mutation(spoil.__name__, frozenset(caught_by), spoil))
            return spoil

        return listed

    return mutation


def spoilt(logs: Logs, by: Mutation, rng: random.Random) -> Logs | None:
    """Return a spoilt copy of a history, None: there is nothing to spoil in this way."""
    tale = Tale(logs, rng)
    return tale.logs if by.spoil(tale) else None
