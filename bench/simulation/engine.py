"""The engine: clients come and go in virtual time, and nodes as the scenario says.

Everything a run draws comes from its seed, in streams of their own: who arrives when, with which
key, through which gateway and for how long is the same for every strategy, and so is how long the
client of a lost node takes to return. Strategies draw from a stream for each gateway.
"""

from __future__ import annotations

import random
import time
from heapq import heapify, heappop, heappush
from math import inf, log

from balancers.hashing import hash_bytes
from balancers.interface import Member, Observer
from bench.simulation.agenda import Agenda
from bench.simulation.choice import Choice
from bench.simulation.crowd import AWAY, ENDED, Crowd
from bench.simulation.fleet import Fleet
from bench.simulation.registry import Registry
from bench.simulation.scenario import Scenario
from bench.simulation.steps import GAINS, LOSSES, Action, Step, all_nodes, steps_of
from bench.simulation.trace import Change, Sample, Trace


class Simulation:
    """One run of a scenario with one strategy and one seed.

    :ivar crowd: the clients.
    :ivar fleet: the nodes.
    """

    def __init__(self, scenario: Scenario, choice: Choice, seed: int) -> None:
        self._scenario = scenario
        self._agenda = Agenda()
        self._registry = Registry(scenario.gateways.count)
        # Strategies that learn from handshakes must see all of them.
        may_skip = not isinstance(choice.build(random.Random(0), lambda: 0.0), Observer)
        self.fleet = Fleet(all_nodes(scenario), scenario.gateways, may_skip=may_skip)
        self.crowd = Crowd(scenario, choice, seed, self.fleet, self._registry, self._agenda)
        self._arrivals = random.Random(f"{seed}/arrivals")
        self._phases = random.Random(f"{seed}/reports")
        self._hot_key = hash_bytes(b"hot", str(seed).encode())
        self._samples: list[Sample] = []
        self._changes: list[Change] = []
        self._events = 0
        self._next_arrival = inf
        self._open()

    def run(self) -> Trace:
        """Carry everything out until the end of the scenario."""
        began = time.process_time()
        self.advance(self._scenario.duration)
        took = time.process_time() - began
        full = self.fleet.full_node_seconds(self._scenario.duration)
        return Trace(tuple(self._samples), tuple(self._changes), self._events, full, took)

    def advance(self, until: float) -> None:
        """Carry out what is due until then, included."""
        # Nine tenths of a run are spent here, hence the local names.
        agenda, crowd, fleet, registry = self._agenda, self.crowd, self.fleet, self._registry
        sessions = self._scenario.sessions
        heap, views, taken = agenda.heap, registry.views, fleet.taken
        homes, gates, keys = crowd.homes, crowd.gates, crowd.keys
        opened, closed = crowd.opened, crowd.closed
        picks = [strategy.pick for strategy in crowd.strategies]
        count, limit, capacity, names = fleet.count, fleet.limit, fleet.capacity, fleet.names
        index, gateways = fleet.index, len(picks)
        draw, bits = self._arrivals.random, self._arrivals.getrandbits
        initial, mean_life, rate = sessions.initial, sessions.mean_life, sessions.arrival_rate
        spacing = sessions.ramp / initial if initial else 0.0
        special = sessions.keys or sessions.hot_share
        due, events = self._next_arrival, self._events
        while True:
            at, what = heap[0]
            if due < at:
                if due > until:
                    break
                agenda.now = due
                if registry.is_stale:
                    registry.refresh(due)
                gateway = int(draw() * gateways)
                key = bits(64)
                if special:
                    key = self._shared_key(key)
                session = len(homes)
                gates.append(gateway)
                keys.append(key)
                member: Member | None = picks[gateway](key, views[gateway])
                if member is not None and count[node := index[member.id]] < limit[node]:
                    count[node] += 1
                    taken[node] += 1
                    opened[gateway](member.id)
                    homes.append(node)
                else:
                    homes.append(AWAY)
                    crowd.settle(session, member)
                if mean_life:
                    heappush(heap, (due - log(1.0 - draw()) * mean_life, session))
                if session + 1 < initial:
                    due += spacing
                else:
                    due = due - log(1.0 - draw()) / rate if rate else inf
            else:
                if at > until:
                    break
                heappop(heap)
                agenda.now = at
                if what >= 0:
                    node = homes[what]
                    homes[what] = ENDED
                    if node >= 0:
                        if count[node] == capacity[node]:
                            fleet.left(node, at)
                        else:
                            count[node] -= 1
                        closed[gates[what]](names[node])
                else:
                    call, arguments = agenda.calls.pop(what)
                    call(*arguments)
            events += 1
        self._next_arrival, self._events = due, events

    def _open(self) -> None:
        """Start the nodes and put everything on the agenda that the scenario says."""
        scenario, agenda = self._scenario, self._agenda
        sessions = scenario.sessions
        for node in range(sum(group.count for group in scenario.nodes)):
            self.fleet.start(node)
        self._first = self.fleet.serving
        if sessions.initial and not sessions.ramp:
            self._spread(sessions.initial)
        for node in self._first:
            self._registry.put(self.fleet.report(node))
            self._report_later(node, self._phases.random())
        if sessions.initial and sessions.ramp:
            self._next_arrival = 0.0
        elif sessions.arrival_rate:
            self._next_arrival = self._arrivals.expovariate(sessions.arrival_rate)
        for step in steps_of(scenario):
            agenda.later(step.at, self._take, step)
        agenda.later(0.0, self._sample)

    def _spread(self, initial: int) -> None:
        crowd, fleet, draw = self.crowd, self.fleet, self._arrivals.random
        uneven = self._scenario.sessions.unevenness
        shares = {
            node: fleet.groups[node].weight * (1 + uneven * (2 * draw() - 1))
            for node in self._first
        }
        waiting = [(1 / share, node) for node, share in shares.items()]
        heapify(waiting)
        for session in range(initial):
            # The one who is furthest below its share, the lowest number among equals.
            node = heappop(waiting)[1]
            gateway = int(draw() * len(crowd.strategies))
            crowd.gates.append(gateway)
            crowd.keys.append(self._shared_key(self._arrivals.getrandbits(64)))
            crowd.homes.append(node)
            fleet.admit(node, 0.0, at_once=True)
            if fleet.count[node] < fleet.capacity[node]:
                heappush(waiting, ((fleet.count[node] + 1) / shares[node], node))
            crowd.opened[gateway](fleet.names[node])
            if self._scenario.sessions.mean_life:
                life = -log(1.0 - draw()) * self._scenario.sessions.mean_life
                heappush(self._agenda.heap, (life, session))

    def _shared_key(self, key: int) -> int:
        sessions = self._scenario.sessions
        if key / 2.0**64 < sessions.hot_share:
            return self._hot_key
        return hash_bytes(str(key % sessions.keys).encode()) if sessions.keys else key

    def _report_later(self, node: int, part: float) -> None:
        due = self._agenda.now + part * self._scenario.gateways.report_interval
        self._agenda.later(due, self._report, node, self.fleet.names[node])

    def _report(self, node: int, name: str) -> None:
        if self.fleet.is_up(node, name):
            self._tell(node)
            self._report_later(node, 1.0)

    def _tell(self, node: int) -> None:
        due = self._agenda.now + self._scenario.gateways.report_delay
        self._agenda.later(due, self._arrive, node, self.fleet.report(node))

    def _arrive(self, node: int, member: Member) -> None:
        if self.fleet.is_up(node, member.id):
            self._registry.put(member)

    def _take(self, step: Step) -> None:
        """Carry out a step."""
        fleet, crowd, now = self.fleet, self.crowd, self._agenda.now
        before = {node: fleet.names[node] for node in fleet.serving}
        change = Change(now, step.action, step.nodes, before, {})
        if step.action in LOSSES | GAINS:
            self._changes.append(change)
        for node in step.nodes:
            name = fleet.names[node]
            if fleet.is_up(node, name) == (step.action is Action.START):
                # Another event came first: nothing to start, or nobody to drain or stop.
                continue
            match step.action:
                case Action.START:
                    fleet.start(node)
                    self._tell(node)
                    self._report_later(node, self._phases.random())
                case Action.RESUME | Action.DRAIN:
                    fleet.accept(node, accepts=step.action is Action.RESUME)
                    self._tell(node)
                    if step.action is Action.DRAIN:
                        crowd.send_elsewhere(node, step.over, change)
                case Action.CRASH | Action.STOP:
                    crowd.orphan(node, change)
                    fleet.stop(node, now)
                    late = self._scenario.gateways.detection if step.action is Action.CRASH else 0
                    self._agenda.later(now + late, self._registry.drop, name)
        change.after.update({node: fleet.names[node] for node in fleet.serving})

    def _sample(self) -> None:
        crowd, fleet, agenda = self.crowd, self.fleet, self._agenda
        self._samples.append(
            Sample(
                agenda.now,
                tuple(fleet.count[:-1]),
                fleet.serving,
                crowd.homes.count(AWAY),
                tuple(fleet.taken[:-1]),
                crowd.rejected,
                crowd.refused,
            )
        )
        fleet.taken[:] = [0] * len(fleet.taken)
        agenda.later(self._scenario.sample * len(self._samples), self._sample)
