"""A cluster in virtual time: detectors, views and a registry, joined by a network that fails.

Only the parts that are pure are the real ones. What the shell does for them is done here in the
simplest way: beat, merge, tell, accuse. Times are multiples of 1/1024 s plus the detectors' own.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable

from attrs import Factory, define, evolve, field, frozen

from wsmesh.cluster.actions import (
    Accuse,
    Action,
    AskProbe,
    Clear,
    SendProbe,
    SendReport,
    Suspect,
    Timing,
    Withdraw,
)
from wsmesh.cluster.detector import Detector
from wsmesh.cluster.nodes import Identity, NodeRecord
from wsmesh.cluster.verdicts import Accusations, Evidence, judge
from wsmesh.cluster.view import Listed, Listing, View

TICK = 1 / 1024
BEAT = 5.0
RETRY = 0.5


@frozen
class Death:
    """A verdict as the registry came to it."""

    who: Identity
    at: float
    accusers: frozenset[Identity]
    evidence: Evidence


@define(eq=False)
class Node:
    """A process: real detector and view, and a queue for what reaches it while it is stopped."""

    record: NodeRecord
    detector: Detector
    beat_at: float
    view: View = Factory(View)
    is_up: bool = True
    stopped_until: float = 0.0
    woke_at: float = float("-inf")
    waiting: list[Callable[[], None]] = Factory(list)
    wake: int = 0
    learnt: dict[Identity, float] = Factory(dict)
    versions: list[int] = Factory(list)

    @property
    def who(self) -> Identity:
        return self.record.identity


@define(eq=False)
class World:
    """Nodes `n0` ... and one registry. `run` moves time; faults are methods and attributes.

    :param delay: least and most seconds of a message, one way, whether to a node or the store.
    :param origin: what the monotonic clock says at the beginning.
    :ivar cut: pairs (from, to) between which messages are lost; to or from "store" as well.
    :ivar loss: the share of messages between nodes that are lost.
    :ivar trace: every action, who wanted it and when, in seconds since the beginning.
    """

    size: int
    seed: int = 0
    accusers: int = 2
    delay: tuple[float, float] = (TICK, 4 * TICK)
    origin: float = 0.0
    timing: Timing = Factory(Timing)
    loss: float = 0.0
    nodes: dict[str, Node] = Factory(dict)
    cut: set[tuple[str, str]] = Factory(set)
    is_store_up: bool = True
    deaths: list[Death] = Factory(list)
    trace: list[tuple[float, str, Action]] = Factory(list)
    now: float = field(init=False)
    rng: random.Random = field(init=False)
    _events: list[tuple[float, int, Callable[[], None]]] = Factory(list)
    _order: itertools.count[int] = Factory(itertools.count)
    _leases: dict[Identity, float] = Factory(dict)
    _records: dict[Identity, NodeRecord] = Factory(dict)
    _dead: set[Identity] = Factory(set)
    _version: int = 1
    _accusations: Accusations = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.now = self.origin
        self.rng = random.Random(self.seed)
        self._accusations = Accusations(self.timing.window)
        for number in range(self.size):
            self.at(self.between(0, 1), lambda name=f"n{number}": self.start(name, 1))

    # -- time ---------------------------------------------------------------------------------

    def between(self, least: float, most: float) -> float:
        return self.rng.randint(round(least / TICK), round(most / TICK)) * TICK

    def at(self, wait: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + wait, next(self._order), do))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = until

    # -- faults -------------------------------------------------------------------------------

    def start(self, name: str, incarnation: int) -> None:
        record = NodeRecord(
            node=name, incarnation=incarnation, state="alive", mesh=f"{name}:1", started_at=1e9
        )
        node = Node(record, Detector(record.identity, self.timing), beat_at=self.now)
        self.nodes[name] = node
        self._beat(node)

    def crash(self, name: str, *, is_process: bool = False) -> None:
        """The host is gone, or only the process: then its kernel says so."""
        node = self.nodes[name]
        node.is_up = False
        if is_process:
            for peer in self._others(name):
                self._to(name, peer, lambda peer=peer: self._do(
                    peer, peer.detector.unlinked(self.now, name)))
                self.at(0.125, lambda peer=peer: self._reach(peer, lambda: self._refused(
                    peer, node)))

    def stop(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while; what arrives meanwhile waits in its sockets."""
        node = self.nodes[name]
        node.stopped_until = max(node.stopped_until, self.now + seconds)
        self.at(seconds, lambda: self._continue(node))

    def drop_link(self, one: str, other: str, seconds: float) -> None:
        """The connection of two nodes breaks and is opened again."""
        pairs = {(one, other), (other, one)} - self.cut
        self.cut |= pairs
        self.at(seconds, lambda: self.cut.difference_update(pairs))
        for here, there in ((one, other), (other, one)):
            node, peer = self.nodes[here], self.nodes[there]
            self._reach(node, lambda n=node, t=there: self._do(
                n, n.detector.unlinked(self.now, t)))
            self.at(seconds, lambda n=node, p=peer: p.is_up and self._reach(
                n, lambda: self._do(n, n.detector.linked(self.now, p.who))))

    def isolate(self, one: str, other: str) -> None:
        """Nothing gets from one to the other; the way back stays open."""
        self.cut.add((one, other))

    # -- messages -----------------------------------------------------------------------------

    def live(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_up]

    def _others(self, name: str) -> list[Node]:
        return [node for node in self.live() if node.who.node != name]

    def _to(self, sender: str, node: Node, do: Callable[[], None]) -> None:
        is_lost = self.loss and self.rng.random() < self.loss
        if (sender, node.who.node) not in self.cut and not is_lost:
            self.at(self.between(*self.delay), lambda: self._reach(node, do))

    def _reach(self, node: Node, do: Callable[[], None]) -> None:
        if not node.is_up or self.nodes[node.who.node] is not node:
            return
        if node.stopped_until > self.now:
            node.waiting.append(do)
        else:
            do()

    def _continue(self, node: Node) -> None:
        if node.stopped_until > self.now or not node.is_up:
            return
        node.woke_at = self.now
        waiting, node.waiting = node.waiting, []
        self.rng.shuffle(waiting)
        for do in waiting:
            do()
        self._wake_later(node)

    def _refused(self, peer: Node, node: Node) -> None:
        if self.nodes[node.who.node] is node:
            self._do(peer, peer.detector.refused(self.now, node.who.node))

    # -- what the shell would do --------------------------------------------------------------

    def _do(self, node: Node, actions: list[Action]) -> None:
        detector, name = node.detector, node.who.node
        for action in actions:
            self.trace.append((round(self.now - self.origin, 12), name, action))
            match action:
                case SendProbe(target, number):
                    self._probe(node, target, number)
                case AskProbe(via, target, number):
                    y = self.nodes[via]
                    self._to(name, y, lambda y=y, t=target, n=number: self._do(
                        y, y.detector.asked(self.now, name, n, t.node)))
                case SendReport(asker, number, target, reached):
                    y = self.nodes[asker]
                    self._to(name, y, lambda y=y, n=number, r=reached: self._do(
                        y, y.detector.reported(self.now, name, n, r)))
                case Accuse(target):
                    self._accuse(node, action)
                case Withdraw(target):
                    self._ask_store(node, lambda t=target: self._accusations.absolve(t, node.who),
                                    lambda _: None)
                case Suspect(target):
                    self._see(node, node.view.suspecting(target))
                case Clear(target):
                    self._see(node, node.view.clearing(target))
        assert detector is node.detector
        self._wake_later(node)

    def _probe(self, node: Node, target: Identity, number: int) -> None:
        peer = self.nodes[target.node]

        def ack() -> None:
            self._to(target.node, node, lambda: self._do(
                node, node.detector.acked(self.now, peer.who, number)))

        self._to(node.who.node, peer, ack)

    def _wake_later(self, node: Node) -> None:
        node.wake += 1
        due, number = node.detector.due, node.wake
        if due < float("inf"):
            self.at(max(0.0, due - self.now), lambda: self._reach(node, lambda: self._tick(
                node, number)))

    def _tick(self, node: Node, number: int) -> None:
        if node.wake == number:
            self._do(node, node.detector.tick(self.now))

    def _see(self, node: Node, view: View) -> None:
        if view is node.view:
            return
        node.view = view
        node.versions.append(view.version)
        for who, incarnation in view.buried.items():
            node.learnt.setdefault(Identity(who, incarnation), self.now)
        self._do(node, node.detector.update(self.now, view))

    # -- the registry -------------------------------------------------------------------------

    def _ask_store(
        self, node: Node, ask: Callable[[], object], answer: Callable[[object], None]
    ) -> None:
        name = node.who.node

        def arrive() -> None:
            if self.is_store_up:
                found = ask()
                if ("store", name) not in self.cut:
                    self.at(self.between(*self.delay), lambda: self._reach(
                        node, lambda: answer(found)))
            else:
                lost()

        def lost() -> None:
            self._reach(node, lambda: self._do(node, node.detector.store(self.now, is_up=False)))

        if (name, "store") in self.cut or ("store", name) in self.cut:
            self.at(RETRY, lost)
        if (name, "store") not in self.cut:
            self.at(self.between(*self.delay), arrive)

    def _beat(self, node: Node, *, again: bool = True) -> None:
        if not node.is_up or self.nodes[node.who.node] is not node:
            return
        if again:
            self.at(BEAT, lambda: self._reach(node, lambda: self._beat(node)))
        self._ask_store(node, lambda: self._renew(node), lambda roll: self._merge(node, roll))

    def _renew(self, node: Node) -> Listing | None:
        if node.who in self._dead:
            return None
        if node.who not in self._leases:
            self._version += 1
            self._tell(node)
        self._leases[node.who] = self.now + self.timing.lease
        self._records[node.who] = node.record
        return Listing(
            version=self._version,
            nodes=tuple(
                Listed(record=record, lease=self._leases[who] - self.now)
                for who, record in self._records.items()
            ),
            dead=tuple(self._dead),
        )

    def _merge(self, node: Node, roll: object) -> None:
        if roll is None:
            self.start(node.who.node, node.who.incarnation + 1)
            return
        assert isinstance(roll, Listing)
        self._do(node, node.detector.store(self.now, is_up=True))
        self._see(node, node.view.merged(roll, self.now, self.timing.lease))
        for who in node.view.disowned(roll):
            self._accuse(node, Accuse(who, is_refused=True))

    def _accuse(self, node: Node, accuse: Accuse) -> None:
        for peer in self._others(node.who.node):
            self._to(node.who.node, peer, lambda p=peer: self._do(
                p, p.detector.accused(self.now, accuse.target.node)))
        self._ask_store(node, lambda: self._charge(node, accuse), lambda dead: self._bury(
            node, accuse.target, dead))

    def _charge(self, node: Node, accuse: Accuse) -> bool:
        target, accuser = accuse.target, node.who
        if target in self._dead or self._leases.get(accuser, 0.0) < self.now:
            return target in self._dead
        count = self._accusations.accuse(target, accuser, self.now)
        valid = [who for who, ends in self._leases.items() if ends >= self.now and who != target]
        is_expired = self._leases.get(target, 0.0) < self.now
        evidence = Evidence(
            accusers=count, others=len(valid), is_refused=accuse.is_refused, is_expired=is_expired
        )
        if not judge(evidence, self.accusers):
            return False
        accusers = self._accusations.accusers(target, self.now)
        self.deaths.append(Death(target, self.now, accusers, evidence))
        self._dead.add(target)
        self._records.pop(target, None)
        self._leases.pop(target, None)
        self._accusations.forget(target)
        self._version += 1
        return True

    def _bury(self, node: Node, target: Identity, is_dead: object) -> None:
        if is_dead and not node.view.is_dead(target):
            self._see(node, node.view.burying(target))
            self._tell(node)

    def _tell(self, node: Node) -> None:
        for peer in self._others(node.who.node):
            self._to(node.who.node, peer, lambda p=peer: self._beat(p, again=False))

    def lose_memory(self) -> None:
        """The store restarts with nothing in it."""
        self._leases.clear()
        self._records.clear()
        self._dead.clear()
        self._accusations = evolve(self._accusations)
