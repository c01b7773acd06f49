"""Processes are kept running: started again, killed when they hang; on a virtual clock."""

from __future__ import annotations

import signal

import pytest
import trio
from attrs import evolve

from tests.supervisor.pretend_machine import RULES, Behaviour, a_cast, a_supervisor
from wsmesh.errors import ConfigError, WsmeshError
from wsmesh.supervisor.supervisor import ClusterLost, Supervisor

GOOD = Behaviour()
CRASH = Behaviour(ends_at=3)


async def reason(supervisor: Supervisor, within: float = 1000) -> WsmeshError | None:
    with trio.move_on_after(within):
        return await supervisor.wait_lost()
    return None


async def test_all_start_at_once_and_are_complete_when_all_are_ready(autojump_clock):
    plan = {"node-2": [Behaviour(reports_from=2, ready_from=4)]}
    async with a_supervisor(2, plan, gateway=True) as stage:
        assert not stage.supervisor.is_complete
        await stage.supervisor.wait_complete()

        assert trio.current_time() == pytest.approx(4, abs=0.3)
        for keeper in (*stage.supervisor.nodes, stage.supervisor.gateway):
            assert keeper is not None
            assert keeper.pid == stage.machine.newest(keeper.role.name).pid
            assert stage.machine.starts(keeper.role.name) == [0.0]


async def test_one_that_ends_is_started_again_after_a_wait_that_doubles(autojump_clock):
    async with a_supervisor(2, {"node-1": [CRASH, CRASH, CRASH, GOOD]}) as stage:
        await trio.sleep(30)

        # Each lives for 3 s, and the waits are 0.5, 1 and 2 s.
        assert stage.machine.starts("node-1") == pytest.approx([0, 3.5, 7.5, 12.5], abs=0.1)
        assert stage.machine.starts("node-2") == [0.0]
        assert stage.supervisor.nodes[0].restarts == 3
        assert stage.supervisor.is_complete


async def test_one_that_hangs_is_killed_after_the_timeout_and_started_again(autojump_clock):
    async with a_supervisor(2, {"node-1": [Behaviour(hangs_from=10), GOOD]}) as stage:
        await trio.sleep(30)

        first, second = stage.machine.lives["node-1"]
        assert first.signals == [signal.SIGKILL]
        # Its last report was at 9.75 at the earliest.
        assert 12.2 <= second.began <= 12.7
        assert stage.machine.newest("node-2").signals == []
        assert stage.supervisor.is_complete


async def test_one_that_never_reports_is_a_failure_after_its_time(autojump_clock):
    async with a_supervisor(2, {"node-1": [Behaviour(reports_from=1e9), GOOD]}) as stage:
        await trio.sleep(40)

        first, second = stage.machine.lives["node-1"]
        assert first.signals == [signal.SIGKILL]
        assert second.began == pytest.approx(30.5, abs=0.2)
        assert stage.supervisor.nodes[0].life.failures == 1


async def test_reports_of_another_process_do_not_count(autojump_clock):
    async with a_supervisor(1, {"node-1": [Behaviour(claims_pid=1), GOOD]}) as stage:
        await trio.sleep(29)
        assert not stage.supervisor.is_complete
        await trio.sleep(10)

        assert stage.supervisor.is_complete, "it was silent, and killed"


async def test_a_supervisor_that_was_stopped_kills_nobody_for_it(autojump_clock):
    async with a_supervisor(2) as stage:
        await stage.supervisor.wait_complete()
        autojump_clock.jump(60)
        await trio.sleep(5)

        assert [life.signals for life in stage.machine.lives["node-1"]] == [[]]
        assert [life.signals for life in stage.machine.lives["node-2"]] == [[]]


async def test_a_machine_without_room_is_asked_again(autojump_clock):
    async with a_supervisor(1, no_room=3) as stage:
        await stage.supervisor.wait_complete()

        assert stage.machine.starts("node-1") == pytest.approx([3.5], abs=0.1)
        assert stage.supervisor.nodes[0].life.failures == 3


async def test_what_they_say_is_told_with_their_names(autojump_clock):
    plan = {"node-1": [Behaviour(says=b"one\ntwo\nthe last", ends_at=3), GOOD]}
    async with a_supervisor(2, plan) as stage:
        await trio.sleep(10)

        assert stage.told == [("node-1", b"one"), ("node-1", b"two"), ("node-1", b"the last")]


async def test_a_crash_loop_of_one_node_leaves_the_others_alone(autojump_clock):
    plan = {"node-1": [GOOD, CRASH], "node-2": [GOOD]}
    async with a_supervisor(2, plan) as stage:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.supervisor.wait_lost)
            await trio.sleep(5)
            stage.machine.newest("node-1").signal(signal.SIGKILL)
            await trio.sleep(600)

            assert stage.supervisor.nodes[0].life.is_hopeless
            gaps = stage.machine.starts("node-1")[-2:]
            assert gaps[1] - gaps[0] == pytest.approx(33, abs=0.3), "it is still tried"
            nursery.cancel_scope.cancel()
        assert stage.machine.newest("node-2").signals == []


async def test_it_gives_up_when_every_node_failed_ten_times(autojump_clock):
    rules = evolve(RULES, give_up_outage=1e6)
    crash = Behaviour(ends_at=3, says=b"wsmesh: no disk\n")
    async with a_supervisor(2, {"node-1": [crash], "node-2": [crash]}, rules=rules) as stage:
        lost = await reason(stage.supervisor)

        assert isinstance(lost, ClusterLost)
        assert str(lost) == "node-1 failed 10 times in a row; it said last:\nno disk"
        assert len(stage.machine.starts("node-1")) == 10


async def test_it_gives_up_when_no_node_ran_for_a_minute(autojump_clock):
    dead = Behaviour(reports_from=1e9, ends_at=5)
    plan = {"node-1": [Behaviour(ends_at=10), dead], "node-2": [Behaviour(ends_at=10), dead]}
    async with a_supervisor(2, plan) as stage:
        lost = await reason(stage.supervisor)

        assert isinstance(lost, ClusterLost)
        assert "no node was running for 1m" in str(lost)
        assert "it said nothing" in str(lost)
        assert trio.current_time() == pytest.approx(70, abs=1.5)


async def test_a_gateway_that_cannot_be_kept_ends_it(autojump_clock):
    async with a_supervisor(1, {"gateway": [CRASH]}, gateway=True) as stage:
        lost = await reason(stage.supervisor)

        assert "gateway failed 10 times in a row" in str(lost)


async def test_a_hang_is_part_of_the_reason(autojump_clock):
    plan = {"gateway": [Behaviour(hangs_from=2)]}
    async with a_supervisor(1, plan, gateway=True) as stage:
        assert "killed: it said nothing for 2 s" in str(await reason(stage.supervisor))


async def test_a_configuration_that_a_process_refuses_ends_the_start_at_once(autojump_clock):
    refusal = Behaviour(reports_from=9, ends_at=2, status=2, says=b"wsmesh: app.module: none\n")
    async with a_supervisor(2, {"node-2": [refusal]}) as stage:
        lost = await reason(stage.supervisor)

        assert isinstance(lost, ConfigError)
        assert str(lost) == "node-2: app.module: none"
        assert trio.current_time() == pytest.approx(2, abs=0.6)


async def test_it_does_not_give_up_what_it_is_stopping(autojump_clock):
    plan = {"node-1": [Behaviour(drains_for=100, obeys=False)]}
    async with a_supervisor(1, plan) as stage:
        await stage.supervisor.wait_complete()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.supervisor.stop)

            assert await reason(stage.supervisor, 200) is None


async def test_what_still_runs_at_the_end_is_killed(autojump_clock):
    async with a_supervisor(1, cast=a_cast()) as stage:
        await stage.supervisor.wait_complete()

    assert stage.machine.newest("node-1").status == -signal.SIGKILL
