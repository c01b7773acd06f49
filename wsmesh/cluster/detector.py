"""A failure detector without I/O: events and the time go in, actions come out.

It watches the nodes that follow its own on the ring of ids (`wsmesh.cluster.ring`), and those whose
link broke, that it suspects, or that others cannot reach. Links and refusals are hints and
evidence, probes decide, the registry condemns:

* a lost link or a miss: the node is suspected, at once and until it answers again;
* the last of `misses` probes also goes through two other nodes, so that one broken path is no
  death; whom others cannot reach either they watch as well;
* `misses` unanswered probes, or a refused connection: it is accused, again with every miss.

What this node may say of others depends on how well it is itself (Dadgar, Phillips and Currey,
Lifeguard, 2017). Woken late, it starts over with everybody, waits longer, and accuses nobody until
its timers were on time for a while. Without an answer from anybody else it may be the one that is
cut off: then it accuses only whose host refuses connections, or whose lease ran out although
the store was there all the time.

Every input begins by looking how late this node is, so that after a stall it does not matter
whether timers or messages are seen first. Times are monotonic seconds; no wall clock is involved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from attrs import define, field

from wsmesh.cluster.actions import (
    Accuse,
    Action,
    AskProbe,
    SelfHealth,
    SendProbe,
    SendReport,
    Timing,
)
from wsmesh.cluster.doubt import SelfDoubt
from wsmesh.cluster.nodes import Identity
from wsmesh.cluster.relays import Relay, Relays
from wsmesh.cluster.ring import following, in_turn, watched
from wsmesh.cluster.view import View
from wsmesh.cluster.watch import Watch

INTERMEDIARIES = 2
HINT = 5.0
"""Intervals for which a node is watched that somebody else found silent."""


@define(eq=False)
class Detector:
    """One node's detector. `due` says when `tick` is to be called; earlier calls do no harm.

    Inputs return what is to be done, in order. Their `now` never decreases.
    """

    own: Identity
    timing: Timing = field(factory=Timing)
    _view: View = field(factory=View, init=False)
    _doubt: SelfDoubt = field(init=False)
    _watches: dict[str, Watch] = field(factory=dict, init=False)
    _relays: Relays = field(factory=Relays, init=False)
    _unlinked: set[str] = field(factory=set, init=False)
    _hints: dict[str, float] = field(factory=dict, init=False)
    _number: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._doubt = SelfDoubt(self.timing)

    @property
    def due(self) -> float:
        """When something is to be decided or done; infinity for never."""
        watches = min((watch.due for watch in self._watches.values()), default=math.inf)
        return min(watches, self._relays.due, self._doubt.due)

    @property
    def watching(self) -> frozenset[Identity]:
        """Whom it probes now."""
        return frozenset(watch.target for watch in self._watches.values())

    @property
    def is_well(self) -> bool:
        """Whether its timers have been on time for a while; it is not ready otherwise."""
        return self._doubt.score == 0

    def answering(self, now: float) -> frozenset[str]:
        """Return the nodes that answered lately; while the store is away, all nodes are asked."""
        return self._doubt.answering(now)

    # -- what happens -----------------------------------------------------------------------------

    def update(self, now: float, view: View) -> list[Action]:
        """There is a new view."""
        actions = self._awake(now)
        self._view = view
        self._unlinked &= view.members.keys()
        self._hints = {node: until for node, until in self._hints.items() if until > now}
        self._doubt.keep(view.members)
        self._retrack(now)
        return actions

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        actions = self._awake(now)
        if self._doubt.recover(now):
            actions.append(SelfHealth(self._doubt.score))
        for relay in self._relays.given_up(now):
            actions.append(SendReport(relay.asker, relay.number, relay.target.node, False))
            self._hints[relay.target.node] = now + HINT * self.timing.interval
        for watch in tuple(self._watches.values()):
            actions += self._judge(watch, now)
        self._retrack(now)
        for watch in tuple(self._watches.values()):
            if watch.outstanding is None and watch.next_probe <= now:
                actions += self._probe(watch, now)
        return actions

    def acked(self, now: float, peer: Identity, number: int) -> list[Action]:
        """A node answered a probe."""
        actions = self._awake(now)
        relay = self._relays.answered(number, peer)
        if relay is not None:
            self._doubt.hear(peer.node, now)
            return [*actions, SendReport(relay.asker, relay.number, peer.node, True)]
        watch = self._watches.get(peer.node)
        if watch is not None and watch.target == peer and watch.awaits(number):
            actions += self._answer(watch, now)
        return actions

    def reported(self, now: float, by: str, number: int, reached: bool) -> list[Action]:
        """A node that was asked to probe another says whether that one answered."""
        actions = self._awake(now)
        watch = next((each for each in self._watches.values() if each.awaits(number)), None)
        if watch is not None and by in self._view.members:
            self._doubt.hear(by, now)
            if reached:
                actions += watch.answer(now, is_direct=False)
        return actions

    def asked(self, now: float, asker: str, number: int, target: str) -> list[Action]:
        """A node asks this one to probe another; what this one cannot do stays unanswered."""
        actions = self._awake(now)
        member = self._view.members.get(target)
        if member is None or target == self.own.node or self._relays.is_full:
            return actions
        self._number += 1
        who, deadline = member.record.identity, now + self.timing.relay_timeout
        self._relays.add(self._number, Relay(asker, number, who, deadline))
        return [*actions, SendProbe(who, self._number)]

    def accused(self, now: float, target: str) -> list[Action]:
        """Another node accuses this target: look for oneself."""
        actions = self._awake(now)
        self._hints[target] = now + HINT * self.timing.interval
        self._retrack(now)
        return actions

    def failed(self, now: float, number: int) -> list[Action]:
        """A probe could not be sent: others may reach its target."""
        actions = self._awake(now)
        for watch in self._watches.values():
            if watch.outstanding is not None and watch.outstanding.number == number:
                actions += self._ask(watch)
        return actions

    def linked(self, now: float, peer: Identity) -> list[Action]:
        """A link was opened, which takes an authenticated answer of the peer."""
        actions = self._awake(now)
        self._unlinked.discard(peer.node)
        watch = self._watches.get(peer.node)
        if watch is None:
            return actions
        watch.is_linked = True
        if watch.target == peer:
            actions += self._answer(watch, now)
        elif peer.incarnation > watch.target.incarnation:
            actions += self._refuse(watch, now)
        return actions

    def unlinked(self, now: float, node: str) -> list[Action]:
        """The link to a node was lost, or could not be opened (other than refused)."""
        return [*self._awake(now), *self._unlink(node, now)]

    def refused(self, now: float, node: str) -> list[Action]:
        """A node's host refused the connection: nobody listens there any more.

        Whom others reach nevertheless stands behind a firewall; then it is no news.
        """
        actions = [*self._awake(now), *self._unlink(node, now)]
        watch = self._watches.get(node)
        if watch is not None and not watch.is_detoured:
            actions += self._refuse(watch, now)
        return actions

    def lagged(self, now: float, lag: float) -> list[Action]:
        """A ticker that never rests found the loop this many seconds late."""
        actions = self._awake(now)
        if lag > self.timing.tolerance and not self._doubt.has_counted(lag, now):
            actions += self._distrust_oneself(now)
        return actions

    def store(self, now: float, *, is_up: bool) -> list[Action]:
        """The store answered, or did not; while it is away, everybody is watched."""
        actions = self._awake(now)
        self._doubt.store(now, is_up=is_up)
        self._retrack(now)
        return actions

    # -- how well this node is --------------------------------------------------------------------

    def _awake(self, now: float) -> list[Action]:
        is_late = now - self.due > self.timing.tolerance
        return list(self._distrust_oneself(now)) if is_late else []

    def _distrust_oneself(self, now: float) -> Iterator[Action]:
        self._doubt.distrust(now)
        self._relays.clear()
        yield SelfHealth(self._doubt.score)
        for watch in self._watches.values():
            yield from watch.start_over(now)

    # -- what is held against others --------------------------------------------------------------

    def _judge(self, watch: Watch, now: float) -> Iterator[Action]:
        if watch.is_missed(now, self.timing.stutter):
            yield from watch.suspect(now)
            if watch.misses >= self.timing.misses or watch.is_refused:
                yield from self._accuse(watch, now)

    def _refuse(self, watch: Watch, now: float) -> Iterator[Action]:
        watch.is_refused = True
        yield from watch.suspect(now)
        yield from self._accuse(watch, now)

    def _accuse(self, watch: Watch, now: float) -> Iterator[Action]:
        seen = self._view.seen(watch.target)
        if seen is not None and self._doubt.may_accuse(seen, now, is_refused=watch.is_refused):
            watch.is_accused = True
            yield Accuse(watch.target, is_refused=watch.is_refused)

    def _answer(self, watch: Watch, now: float) -> Iterator[Action]:
        self._doubt.hear(watch.target.node, now)
        yield from watch.answer(now, is_direct=True)

    def _unlink(self, node: str, now: float) -> Iterator[Action]:
        if node in self._unlinked or node not in self._view.members or node == self.own.node:
            return
        self._unlinked.add(node)
        self._retrack(now)
        watch = self._watches.get(node)
        if watch is None:
            return
        watch.is_linked = False
        if watch.outstanding is None:
            watch.next_probe = now
        else:
            yield from self._ask(watch)
        yield from watch.suspect(now)

    # -- probing ----------------------------------------------------------------------------------

    def _probe(self, watch: Watch, now: float) -> Iterator[Action]:
        self._number += 1
        timeout = self.timing.timeout * (1 + self._doubt.score)
        watch.probe(self._number, now, self.timing.interval, timeout)
        yield SendProbe(watch.target, self._number)
        is_last = watch.misses >= self.timing.misses - 1
        if is_last or watch.is_detoured or not watch.is_linked:
            yield from self._ask(watch)

    def _ask(self, watch: Watch) -> Iterator[Action]:
        probe = watch.outstanding
        if probe is None or probe.is_relayed:
            return
        probe.is_relayed = True
        able = self._view.members.keys() - {self.own.node, watch.target.node} - self._suspects()
        for node in in_turn(able, probe.number, INTERMEDIARIES):
            yield AskProbe(node, watch.target, probe.number)

    def _suspects(self) -> set[str]:
        return {node for node, watch in self._watches.items() if watch.is_suspect}

    def _retrack(self, now: float) -> None:
        members = {} if self._view.is_dead(self.own) else self._view.members
        nodes = frozenset(following(members, self.own.node))
        wanted = set(watched(nodes, self.own.node, self._suspects()))
        wanted |= self._unlinked | self._suspects()
        wanted |= {node for node, until in self._hints.items() if until > now}
        if self._doubt.is_store_away:
            wanted |= nodes
        self._watches = {
            node: watch
            for node, watch in self._watches.items()
            if node in wanted and node in nodes and self._view.seen(watch.target) is not None
        }
        for node in sorted((wanted & nodes) - self._watches.keys()):
            target, is_linked = members[node].record.identity, node not in self._unlinked
            self._watches[node] = Watch(target=target, next_probe=now, is_linked=is_linked)
