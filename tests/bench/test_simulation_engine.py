"""The simulator loses nobody, overfills nothing, and tells strategies the truth."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancers import STRATEGIES, View
from balancers.modifiers import OutlierEjectionSpec
from bench.simulation.choice import Choice, parse
from bench.simulation.crowd import AWAY, ENDED
from bench.simulation.engine import Simulation
from bench.simulation.scenario import Event, Gateways, NodeGroup, Scenario, Sessions, load, shipped

STEADY = Scenario(
    name="small",
    about="",
    duration=60.0,
    nodes=(NodeGroup(count=4, capacity=100),),
    sessions=Sessions(initial=100, ramp=5.0, arrival_rate=10.0, mean_life=10.0),
)


class Accountant:
    """Implements `Strategy`: keeps the books of another one."""

    def __init__(self, strategy):
        self._strategy = strategy
        self.books = Counter()

    def rank(self, key, view):
        return self._strategy.rank(key, view)

    def pick(self, key, view):
        assert isinstance(view, View)
        return self._strategy.pick(key, view)

    def opened(self, member):
        self.books[member] += 1
        self._strategy.opened(member)

    def closed(self, member):
        self.books[member] -= 1
        assert self.books[member] >= 0
        self._strategy.closed(member)


@attrs.frozen
class AccountantSpec:
    name: str

    def build(self, rng, clock):
        return Accountant(STRATEGIES[self.name]().build(rng, clock))


def changed(scenario, **changes):
    return attrs.evolve(scenario, **changes)


events = st.one_of(
    st.builds(
        Event, kind=st.sampled_from(["crash", "leave", "drain"]), at=st.integers(0, 30),
        nodes=st.tuples(st.integers(0, 2)), over=st.integers(0, 3), down=st.integers(0, 6),
    ),
    st.builds(
        Event, kind=st.sampled_from(["flap", "deploy"]), at=st.integers(0, 20),
        nodes=st.just((0, 1)), over=st.integers(0, 2), down=st.integers(0, 3),
        up=st.integers(1, 3), times=st.integers(1, 3),
    ),
    st.builds(
        Event, kind=st.just("join"), at=st.integers(0, 30),
        group=st.builds(NodeGroup, count=st.integers(1, 2), capacity=st.integers(1, 20)),
    ),
)
scenarios = st.builds(
    Scenario,
    name=st.just("any"),
    about=st.just(""),
    duration=st.just(40.0),
    nodes=st.tuples(
        st.builds(
            NodeGroup, count=st.just(3), capacity=st.integers(1, 30),
            accept_rate=st.sampled_from([0.0, 5.0]),
        )
    ),
    gateways=st.builds(
        Gateways, count=st.integers(1, 3), report_interval=st.sampled_from([0.5, 5.0]),
        report_delay=st.sampled_from([0.0, 0.5]), detection=st.integers(0, 3),
        suspicion=st.integers(0, 3), attempts=st.integers(1, 4),
    ),
    sessions=st.builds(
        lambda initial, ramp, **others: Sessions(
            initial=initial if ramp else min(initial, 3), ramp=ramp, **others
        ),
        initial=st.integers(0, 40), ramp=st.sampled_from([0.0, 3.0]),
        arrival_rate=st.sampled_from([0.0, 4.0]), mean_life=st.sampled_from([0.0, 8.0]),
        keys=st.sampled_from([0, 3]), hot_share=st.sampled_from([0.0, 0.5]),
    ),
    events=st.lists(events, max_size=3, unique_by=lambda event: event.nodes).map(tuple),
)


@settings(deadline=None, max_examples=60)
@given(scenario=scenarios, name=st.sampled_from(sorted(STRATEGIES)), seed=st.integers(0, 9))
def test_every_client_is_somewhere_and_no_node_has_more_than_it_can(scenario, name, seed):
    simulation = Simulation(scenario, Choice(name, AccountantSpec(name)), seed)
    crowd, fleet = simulation.crowd, simulation.fleet
    for step in range(81):
        simulation.advance(step / 2)

        homes = Counter(crowd.homes)
        for node, group in enumerate(fleet.groups):
            assert fleet.count[node] == homes[node] <= group.capacity
            assert homes[node] == 0 or fleet.is_up(node, fleet.names[node])
        assert sum(fleet.count) + homes[AWAY] + homes[ENDED] == len(crowd.homes)
        for gateway, strategy in enumerate(crowd.strategies):
            own = Counter(
                fleet.names[home]
                for gate, home in zip(crowd.gates, crowd.homes, strict=True)
                if gate == gateway and home >= 0
            )
            assert +strategy.books == own


def test_strategies_see_the_same_clients_with_the_same_seed():
    crowds = []
    for name in ("p2c", "round_robin", "first"):
        simulation = Simulation(STEADY, parse(name), 5)
        simulation.run()
        crowds.append(simulation.crowd)

    assert crowds[0].keys == crowds[1].keys == crowds[2].keys
    assert crowds[0].gates == crowds[1].gates == crowds[2].gates
    assert crowds[0].homes != crowds[1].homes
    ended = [[home == ENDED for home in crowd.homes] for crowd in crowds]
    assert ended[0] == ended[1] == ended[2]


def test_another_seed_is_another_run():
    first, second = (Simulation(STEADY, parse("p2c"), seed).run() for seed in (1, 2))

    assert first.samples != second.samples


def test_the_clients_of_a_crashed_node_are_back_in_time_on_others():
    scenario = changed(
        STEADY,
        sessions=Sessions(initial=200, return_within=3.0),
        gateways=Gateways(detection=0.0),
        events=(Event(at=10.0, kind="crash", nodes=(2,)),),
    )
    simulation = Simulation(scenario, parse("round_robin"), 1)

    simulation.advance(9.9)
    assert simulation.fleet.count[:4] == [50, 50, 50, 50]
    simulation.advance(10.0)
    assert simulation.crowd.homes.count(AWAY) == 50
    simulation.advance(13.0)

    assert simulation.crowd.homes.count(AWAY) == 0
    assert simulation.fleet.count[2] == 0


def test_nobody_is_sent_to_a_crashed_node_twice_by_a_gateway_that_suspects_it():
    scenario = changed(
        STEADY,
        sessions=Sessions(arrival_rate=50.0),
        gateways=Gateways(count=1, detection=30.0, suspicion=100.0),
        events=(Event(at=5.0, kind="crash", nodes=(0,)),),
        duration=20.0,
        nodes=(NodeGroup(count=3),),
    )
    trace = Simulation(scenario, parse("least_connections"), 1).run()

    assert trace.samples[-1].refused == 1
    assert trace.samples[-1].rejected == 0


def test_a_full_cluster_rejects_and_takes_clients_when_there_is_room():
    scenario = changed(
        STEADY,
        nodes=(NodeGroup(count=1, capacity=10),),
        sessions=Sessions(initial=20, ramp=1.0),
        events=(Event(at=20.0, kind="join", group=NodeGroup(capacity=20)),),
        duration=120.0,
    )
    simulation = Simulation(scenario, parse("p2c"), 1)
    simulation.advance(19.0)
    assert simulation.fleet.count[:2] == [10, 0]
    assert simulation.crowd.rejected >= 10

    trace = simulation.run()

    assert simulation.fleet.count[:2] == [10, 10]
    assert trace.full_node_seconds == pytest.approx(120, abs=1)


def test_a_node_takes_clients_no_faster_than_its_rate_and_queue_allow():
    scenario = changed(
        STEADY,
        nodes=(NodeGroup(count=1, accept_rate=10.0),),
        sessions=Sessions(initial=500, ramp=1.0),
        gateways=Gateways(accept_queue=1.0, suspicion=0.0),
    )
    simulation = Simulation(scenario, parse("random"), 1)
    for second in range(1, 20):
        simulation.advance(second)
        assert simulation.fleet.count[0] <= 10 * second + 11


def test_a_drained_node_is_empty_when_its_time_is_over_and_accepts_again_later():
    scenario = changed(
        STEADY, events=(Event(at=20.0, kind="drain", nodes=(1,), over=10.0, down=5.0),)
    )
    simulation = Simulation(scenario, parse("p2c"), 1)

    simulation.advance(20.0)
    assert simulation.fleet.count[1] > 10
    simulation.advance(30.0)
    assert simulation.fleet.count[1] == 0
    simulation.advance(34.9)
    assert simulation.fleet.count[1] == 0
    simulation.advance(45.0)

    assert simulation.fleet.count[1] > 10
    assert simulation.fleet.names[1] == "node-001/1"


def test_a_deploy_gives_every_node_a_new_incarnation_one_after_the_other():
    scenario = changed(
        STEADY,
        events=(Event(at=10.0, kind="deploy", nodes=(0, 1, 2, 3), over=2.0, down=1.0, up=1.0),),
    )
    simulation = Simulation(scenario, parse("p2c"), 1)
    for tenth in range(100, 300):
        simulation.advance(tenth / 10)
        assert len(simulation.fleet.serving) >= 3

    assert simulation.fleet.names[:4] == [f"node-00{number}/2" for number in range(4)]


def test_strategies_that_learn_hear_of_every_handshake():
    scenario = changed(
        STEADY, nodes=(NodeGroup(count=1, accept_rate=1.0), NodeGroup(count=1)),
        gateways=Gateways(count=1, accept_queue=5.0),
    )
    observed = []

    class Learner(Accountant):
        def observed(self, member, seconds):
            observed.append((member, seconds))

    @attrs.frozen
    class LearnerSpec:
        def build(self, rng, clock):
            return Learner(STRATEGIES["round_robin"]().build(rng, clock))

    simulation = Simulation(scenario, Choice("learner", LearnerSpec()), 1)
    simulation.run()

    assert len([each for each in observed if each[1] is not None]) == sum(
        home != AWAY for home in simulation.crowd.homes
    )
    assert max(seconds for _, seconds in observed if seconds is not None) > 4
    assert ("node-000/1", None) in observed


def test_composed_strategies_are_told_where_their_clients_ended():
    choice = parse("round_robin+outlier_ejection+sticky")
    assert choice.modifiers == (OutlierEjectionSpec(),)
    scenario = changed(
        STEADY, gateways=Gateways(detection=10.0, count=1),
        events=(Event(at=20.0, kind="crash", nodes=(0,)),),
    )

    trace = Simulation(scenario, choice, 1).run()

    assert trace.samples[-1].refused > 0
    assert trace.samples[-1].loads[0] == 0


def test_gateways_prefer_nodes_of_their_zone_when_the_modifier_is_there():
    zones = tuple(NodeGroup(count=3, zone=zone) for zone in ("a", "b"))
    scenario = changed(STEADY, nodes=zones, gateways=Gateways(count=2), sessions=Sessions(
        initial=600, ramp=10.0))
    simulation = Simulation(scenario, parse("random+zone"), 1)
    simulation.run()

    zone = [simulation.fleet.groups[home].zone for home in simulation.crowd.homes]
    assert zone == ["ab"[gate] for gate in simulation.crowd.gates]


def test_a_gateway_that_sees_no_ends_still_balances_by_reports():
    scenario = changed(STEADY, gateways=Gateways(sees_ends=False, report_interval=1.0))
    trace = Simulation(scenario, parse("p2c"), 1).run()

    last = trace.samples[-1]
    assert max(last.loads) < 1.5 * sum(last.loads) / 4


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_scenarios_end_with_everybody_placed(name):
    scenario = load(shipped()[name])
    last = Simulation(scenario, parse("p2c"), 1).run().samples[-1]

    assert last.at == scenario.duration
    assert last.away == 0
    assert last.rejected == 0
    assert scenario.about
