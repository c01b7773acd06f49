"""What an operator asks for: stopping, reloading, restarting in turn, more and fewer nodes."""

from __future__ import annotations

import signal

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.supervisor.pretend_machine import RULES, Behaviour, PretendMachine, a_cast, a_supervisor
from wsmesh.errors import ConfigError

GOOD = Behaviour()


def signals(machine: PretendMachine, name: str) -> list[list[int]]:
    return [life.signals for life in machine.lives[name]]


async def test_stopping_closes_the_doors_then_the_gateway_then_the_nodes(autojump_clock):
    plan = {
        "gateway": [Behaviour(drains_for=5)],
        "node-1": [Behaviour(drains_for=20)], "node-2": [Behaviour(drains_for=10)],
    }
    async with a_supervisor(2, plan, gateway=True) as stage:
        await stage.supervisor.wait_complete()
        began = trio.current_time()

        await stage.supervisor.stop()

        assert stage.closings == [began]
        gateway, first = stage.machine.newest("gateway"), stage.machine.newest("node-1")
        assert gateway._draining_from < first._draining_from <= began + 1
        assert trio.current_time() - began == pytest.approx(20.2, abs=0.4)
        for name in ("gateway", "node-1", "node-2"):
            assert signals(stage.machine, name) == [[signal.SIGTERM]], "each once, and none again"


async def test_a_gateway_that_does_not_stop_accepting_holds_the_nodes_up_for_a_second(
    autojump_clock
):
    plan = {"gateway": [Behaviour(obeys=False)]}
    async with a_supervisor(1, plan, gateway=True) as stage:
        await stage.supervisor.wait_complete()
        began = trio.current_time()

        await stage.supervisor.stop()

        assert stage.machine.newest("node-1")._draining_from == pytest.approx(began + 1)
        assert signals(stage.machine, "gateway") == [[signal.SIGTERM, signal.SIGKILL]]


async def test_who_does_not_stop_in_time_is_killed(autojump_clock):
    async with a_supervisor(1, {"node-1": [Behaviour(obeys=False)]}) as stage:
        await stage.supervisor.wait_complete()
        began = trio.current_time()

        await stage.supervisor.stop()

        # shutdown_timeout is 30 s; leaving the cluster and the store may take 12 s more.
        assert trio.current_time() - began == pytest.approx(42, abs=0.3)
        assert signals(stage.machine, "node-1") == [[signal.SIGTERM, signal.SIGKILL]]


async def test_the_second_time_they_stop_at_once(autojump_clock):
    plan = {"node-1": [Behaviour(drains_for=20)], "node-2": [Behaviour(obeys=False)]}
    async with a_supervisor(2, plan) as stage:
        await stage.supervisor.wait_complete()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.supervisor.stop)
            await trio.sleep(5)
            began = trio.current_time()
            stage.supervisor.hurry()

        assert stage.machine.newest("node-1").status == 0
        assert stage.machine.newest("node-2").status == -signal.SIGKILL
        assert trio.current_time() - began == pytest.approx(3, abs=0.3)


async def test_one_that_waits_for_its_next_start_needs_no_stopping(autojump_clock):
    async with a_supervisor(1, {"node-1": [Behaviour(ends_at=3)]}) as stage:
        await trio.sleep(3.2)
        began = trio.current_time()

        await stage.supervisor.stop()

        assert trio.current_time() == began
        assert len(stage.machine.starts("node-1")) == 1


async def test_nobody_is_started_while_the_gateway_stops(autojump_clock):
    plan = {"gateway": [Behaviour(obeys=False)], "node-1": [Behaviour(ends_at=3)]}
    async with a_supervisor(1, plan, gateway=True) as stage:
        await trio.sleep(3.2)

        await stage.supervisor.stop()

        assert len(stage.machine.starts("node-1")) == 1


async def test_a_reload_reaches_who_runs_at_once_and_who_starts_later(autojump_clock):
    plan = {"node-2": [Behaviour(reports_from=3)], "node-3": [Behaviour(ends_at=1.5), GOOD]}
    async with a_supervisor(3, plan, gateway=True) as stage:
        await trio.sleep(1.7)
        stage.supervisor.reload()
        stage.supervisor.reload()
        await trio.testing.wait_all_tasks_blocked()
        assert signals(stage.machine, "node-1") == [[signal.SIGHUP, signal.SIGHUP]]
        assert signals(stage.machine, "gateway") == [[signal.SIGHUP, signal.SIGHUP]]
        assert signals(stage.machine, "node-2") == [[]], "it could have no handler yet"
        await trio.sleep(5)

        assert signals(stage.machine, "node-2") == [[signal.SIGHUP]]
        assert signals(stage.machine, "node-3") == [[], []], "it started with the new configuration"


async def test_a_rolling_restart_has_no_two_nodes_away_at_the_same_time(autojump_clock):
    plan = {"node-2": [Behaviour(ready_from=5)]}
    async with a_supervisor(3, plan, gateway=True) as stage:
        await stage.supervisor.wait_complete()

        await stage.supervisor.roll()

        for earlier, later in (("node-1", "node-2"), ("node-2", "node-3")):
            back = stage.machine.newest(earlier)
            pause = stage.machine.lives[later][0]._draining_from - back.began
            assert pause >= back.behaviour.ready_from + RULES.rolling_pause
        for name in ("node-1", "node-2", "node-3"):
            assert signals(stage.machine, name) == [[signal.SIGTERM], []]
        assert signals(stage.machine, "gateway") == [[]]
        assert stage.supervisor.nodes[0].life.failures == 0


async def test_a_rolling_restart_ends_when_a_node_does_not_come_back(autojump_clock):
    plan = {"node-1": [GOOD, Behaviour(ready_from=1e9)]}
    async with a_supervisor(2, plan) as stage:
        await stage.supervisor.wait_complete()

        await stage.supervisor.roll()

        assert len(stage.machine.starts("node-2")) == 1


async def test_stopping_cuts_a_rolling_restart_short(autojump_clock):
    async with a_supervisor(2, {"node-1": [Behaviour(drains_for=10)]}) as stage:
        await stage.supervisor.wait_complete()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.supervisor.roll)
            nursery.start_soon(stage.supervisor.roll)
            await trio.sleep(2)
            await stage.supervisor.stop()
            await stage.supervisor.roll()

        assert len(stage.machine.starts("node-1")) == 1
        assert len(stage.machine.starts("node-2")) == 1


async def test_more_nodes_are_ready_when_scaling_returns_and_fewer_are_drained(autojump_clock):
    async with a_supervisor(2) as stage:
        await stage.supervisor.wait_complete()

        await stage.supervisor.scale_to(4)
        assert [node.role.name for node in stage.supervisor.nodes] == [
            "node-1", "node-2", "node-3", "node-4"
        ]
        assert stage.supervisor.is_complete

        await stage.supervisor.scale_to(1)
        assert [node.role.name for node in stage.supervisor.nodes] == ["node-1"]
        for name in ("node-2", "node-3", "node-4"):
            assert signals(stage.machine, name) == [[signal.SIGTERM]]
            assert stage.machine.newest(name).status == 0

        await stage.supervisor.scale_to(2)
        assert len(stage.machine.starts("node-2")) == 2
        assert len(stage.machine.starts("node-1")) == 1


async def test_a_rolling_restart_and_scaling_take_turns(autojump_clock):
    async with a_supervisor(2) as stage:
        await stage.supervisor.wait_complete()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.supervisor.roll)
            await trio.sleep(0.1)
            nursery.start_soon(stage.supervisor.scale_to, 3)

        restarted = stage.machine.newest("node-2")
        assert stage.machine.newest("node-3").began >= restarted.began + 1


async def test_nodes_that_could_not_share_a_store_are_refused(autojump_clock):
    async with a_supervisor(1, cast=a_cast(shares_store=False)) as stage:
        with pytest.raises(ConfigError, match="a store that they share"):
            await stage.supervisor.scale_to(2)


async def test_a_drained_node_comes_back_without_having_failed(autojump_clock):
    async with a_supervisor(1, {"node-1": [Behaviour(drains_at=5, drains_for=8), GOOD]}) as stage:
        await trio.sleep(20)

        assert stage.machine.starts("node-1") == pytest.approx([0, 13.5], abs=0.1)
        assert stage.supervisor.nodes[0].life.failures == 0


async def test_rules_of_a_short_leash_hold(autojump_clock):
    rules = evolve(RULES, hang_timeout=0.5, restart_backoff=0)
    async with a_supervisor(1, {"node-1": [Behaviour(hangs_from=4), GOOD]}, rules=rules) as stage:
        await trio.sleep(10)

        assert 4.2 <= stage.machine.starts("node-1")[1] <= 4.7
