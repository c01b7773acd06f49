"""Whatever happens to a cluster, every session has one owner, loses nothing, and finds a home."""

from __future__ import annotations

import random
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from balancers import STRATEGIES as BALANCERS
from failover import STRATEGIES, Gradual, Policy, Rebalance, Round, shed
from tests.failover.cluster_model import Client, Cluster, Node

WINDOW = 100.0
POLICY = Policy(rate=4.0, retry_after=2.0)
seeds = st.integers(0, 99)
picks = st.integers(0, 99)


class Fleet(RuleBasedStateMachine):
    """Nodes come, go, drain and are cut off; a strategy, a failback and rebalancing plan."""

    strategy = "redispatch"

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.failover = STRATEGIES[self.strategy]().build(BALANCERS["rendezvous"]())
        self.failback = Gradual(stable=1.0, rate=2.0, window=WINDOW)
        self.rebalance = Rebalance(interval=2.0, window=WINDOW, max_fraction_per_round=0.5)
        self.before = Round()

    def any_node(self, pick: int) -> Node | None:
        nodes = list(self.cluster.nodes.values())
        return nodes[pick % len(nodes)] if nodes else None

    def several_serve(self) -> bool:
        return sum(node.serves for node in self.cluster.nodes.values()) > 1

    @initialize(count=st.integers(2, 4), clients=st.integers(0, 12), seed=seeds)
    def begins(self, count: int, clients: int, seed: int) -> None:
        for number in range(count):
            self.cluster.start(f"n{number}", 6)
        self.clients_come(clients, seed)
        self.cluster.pass_time(20.0)

    @rule(count=st.integers(1, 5), seed=seeds)
    def clients_come(self, count: int, seed: int) -> None:
        cluster, rng = self.cluster, random.Random(seed)
        for _ in range(count):
            name = f"s{len(cluster.clients):03}"
            cluster.clients[name] = Client(name, rng.getrandbits(64), cluster.now, lost=cluster.now)
        self.orphans_are_placed(seed, 1)

    # Clusters that are soon gone would try nothing else.
    @precondition(several_serve)
    @rule(pick=picks)
    def a_node_dies(self, pick: int) -> None:
        if node := self.any_node(pick):
            self.cluster.stop(node.id)

    @rule(pick=picks)
    def a_node_starts(self, pick: int) -> None:
        running = {name.partition("/")[0] for name in self.cluster.nodes}
        gone = [name for name in ("n0", "n1", "n2", "n3") if name not in running]
        if gone:
            self.cluster.start(gone[pick % len(gone)], 6)

    @precondition(several_serve)
    @rule(pick=picks, seed=seeds)
    def a_node_flaps(self, pick: int, seed: int) -> None:
        """It dies, its sessions go elsewhere, it returns, and they go back as far as they may."""
        cluster, node = self.cluster, self.any_node(pick)
        if node is None:
            return
        cluster.stop(node.id)
        self.orphans_are_placed(seed, 1)
        cluster.pass_time(20.0)
        cluster.start(node.id.partition("/")[0], 6)
        cluster.pass_time(2.0)
        self.strays_go_back(seed)
        cluster.pass_time(5.0)

    @precondition(several_serve)
    @rule(pick=picks)
    def a_node_is_cut_off_from_the_store(self, pick: int) -> None:
        if node := self.any_node(pick):
            node.is_cut = True

    @rule(pick=picks, is_in_time=st.booleans())
    def a_partition_ends(self, pick: int, is_in_time: bool) -> None:
        node = self.any_node(pick)
        if node is None or not node.is_cut:
            return
        if not is_in_time:
            # Its lease ran out: it fences itself.
            self.cluster.stop(node.id)
            return
        node.is_cut = False
        owners = self.cluster.owners
        node.held = {s: e for s, e in node.held.items() if owners[s] == (node.id, e)}

    @rule(pick=picks)
    def a_connection_breaks(self, pick: int) -> None:
        clients = list(self.cluster.clients.values())
        if clients:
            self.cluster.disconnect(clients[pick % len(clients)])

    @precondition(several_serve)
    @rule(pick=picks, within=st.sampled_from([0.5, 5.0, 20.0]), seed=seeds)
    def a_node_drains(self, pick: int, within: float, seed: int) -> None:
        cluster, node = self.cluster, self.any_node(pick)
        if node is None or not node.serves:
            return
        leaving = [each for each in cluster.residents() if each.home == node.id]
        node.is_draining, node.deadline = True, cluster.now + within
        policy = Policy(rate=4.0, leave_rate=3.0, within=within)
        moves = self.failover.plan(
            cluster.view(), leaving, policy, cluster.now, random.Random(seed)
        )
        assert all(move.at <= node.deadline for move in moves)
        cluster.accept(moves)

    @rule(seed=seeds, coordinators=st.integers(1, 2))
    def orphans_are_placed(self, seed: int, coordinators: int) -> None:
        """Two coordinators see the same orphans; whose moves come second change nothing."""
        cluster, orphans, view = self.cluster, self.cluster.orphans(), self.cluster.view()
        for number in range(coordinators):
            rng = random.Random(seed + number)
            moves = self.failover.plan(view, orphans, POLICY, cluster.now, rng)
            assert all(view.by_id[move.to].is_accepting for move in moves)
            cluster.accept(moves)
            for each in shed(view, orphans, moves, POLICY, cluster.now):
                assert each.retry_at > cluster.now
                cluster.clients[each.session].retry_at = each.retry_at

    @rule(seed=seeds)
    def strays_go_back(self, seed: int) -> None:
        cluster = self.cluster
        strays = [each for each in cluster.residents() if each.former]
        returned = {node.id: node.since for node in cluster.nodes.values()}
        cluster.accept(self.failback.plan(
            cluster.view(), strays, returned, POLICY, cluster.now, random.Random(seed)
        ), is_planned=True)

    @rule(seed=seeds)
    def the_cluster_is_rebalanced(self, seed: int) -> None:
        cluster = self.cluster
        unsettled = any(node.is_cut or node.is_draining for node in cluster.nodes.values())
        self.before = self.rebalance.round(
            cluster.view(), cluster.residents(), self.before, POLICY, cluster.now,
            random.Random(seed), is_unsettled=unsettled,
        )
        assert not (unsettled and self.before.moves)
        cluster.accept(self.before.moves, is_planned=True)

    @rule(pick=picks)
    def somebody_publishes(self, pick: int) -> None:
        cluster, sessions = self.cluster, list(self.cluster.clients)
        if not sessions:
            return
        session = sessions[pick % len(sessions)]
        took = [node for node in cluster.nodes.values() if cluster.publish(session, node)]
        assert len(took) <= 1

    @rule(seconds=st.sampled_from([0.25, 1.0, 5.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.cluster.pass_time(seconds)

    @invariant()
    def every_epoch_has_one_owner(self) -> None:
        for claims in self.cluster.claims.values():
            assert [epoch for epoch, _ in claims] == list(range(1, len(claims) + 1))
        for session, owner in self.cluster.owners.items():
            holding = [n for n in self.cluster.nodes.values() if n.held.get(session) == owner[1]]
            assert [node.id for node in holding] in ([], [owner[0]])

    @invariant()
    def nobody_is_too_full_and_nothing_is_lost(self) -> None:
        for node in self.cluster.nodes.values():
            assert len(node.held) <= node.capacity
        for client in self.cluster.clients.values():
            assert client.seen == list(range(len(client.seen)))
            if client.at is not None:
                owner = self.cluster.owners[client.session]
                assert self.cluster.nodes[client.at].held[client.session] == client.epoch
                assert owner == (client.at, client.epoch)
                assert len(client.seen) == self.cluster.logs[client.session]

    @invariant()
    def nobody_is_moved_twice_without_need(self) -> None:
        for times in self.cluster.chosen.values():
            for first, second in zip(times, times[1:], strict=False):
                assert second - first >= WINDOW

    def teardown(self) -> None:
        """Everybody finds a home soon after the faults end, if there is room."""
        cluster = self.cluster
        for node in [*cluster.nodes.values()]:
            if node.is_cut or node.is_draining:
                cluster.stop(node.id)
        for node in cluster.nodes.values():
            # By now it has noticed whose connection is gone.
            node.held = {s: e for s, e in node.held.items() if cluster.clients[s].at == node.id}
        for client in cluster.clients.values():
            client.retry_at = -inf
        number = 10
        while sum(node.capacity for node in cluster.nodes.values()) < len(cluster.clients):
            cluster.start(f"n{number}", 6)
            number += 1
        cluster.pass_time(WINDOW)
        # The wait of wait_then_redispatch, and all at one member's rate.
        soon = 10.0 + len(cluster.clients) / POLICY.rate
        self.orphans_are_placed(0, 1)
        cluster.pass_time(soon)
        assert all(client.at is not None for client in cluster.clients.values())
        self.every_epoch_has_one_owner()
        self.nobody_is_too_full_and_nothing_is_lost()


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_sessions_survive_any_schedule(name: str) -> None:
    machine = type("FleetOf", (Fleet,), {"strategy": name})
    # As many examples as the profile says.
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=60))
