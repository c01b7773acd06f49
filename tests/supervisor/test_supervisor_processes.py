"""Real processes: on a tether to the supervisor, heard over real control sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.node_process import clean_environment
from wsmesh.ingress.control import ControlSocket, open_control
from wsmesh.protocol.control import Report, Taken, encode
from wsmesh.supervisor import tether
from wsmesh.supervisor.processes import Child, Processes
from wsmesh.supervisor.roles import Role

PYTHON = (sys.executable, "-c")

FACTS = """
import ctypes, json, os, sys
death = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(death), 0, 0, 0)
print(json.dumps({
    "death": death.value, "group": os.getpgid(0), "cores": sorted(os.sched_getaffinity(0)),
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2),
    "word": os.environ["WORD"], "input": sys.stdin.read(),
}), file=sys.stderr)
"""


def a_role(directory: Path, *words: str, **changes: object) -> Role:
    facts = {
        "name": "node-1", "words": words, "control": str(directory / "a.sock"),
        "environment": clean_environment(WORD="hello"),
    }
    return Role(**(facts | changes))


async def said_by(child: Child) -> bytes:
    said = b""
    with trio.fail_after(20):
        async with child.said:
            async for data in child.said:
                said += data
        await child.wait()
    return said


async def test_a_process_is_tethered_bound_and_in_a_group_of_its_own(tmp_path):
    core = max(os.sched_getaffinity(0))
    with socket.socket() as passed:
        role = a_role(tmp_path, *PYTHON, FACTS, core=core, fds=(passed.fileno(),))
        child = Processes().start(role)
        facts = json.loads(await said_by(child))

        assert await child.wait() == 0
        assert facts["death"] == signal.SIGKILL
        assert facts["group"] == child.pid
        assert facts["cores"] == [core]
        # Its own, and the one for listing them.
        assert passed.fileno() in facts["fds"]
        assert len(facts["fds"]) == 2
        assert (facts["word"], facts["input"]) == ("hello", "")


async def test_the_end_of_a_process_is_told_however_it_comes(tmp_path):
    machine = Processes()
    failing = machine.start(a_role(tmp_path, *PYTHON, "import sys; sys.exit(3)"))
    killed = machine.start(a_role(tmp_path, *PYTHON, "import time; time.sleep(60)"))
    killed.signal(signal.SIGKILL)

    assert await said_by(failing) == b""
    assert await failing.wait() == 3
    await said_by(killed)
    assert await killed.wait() == -signal.SIGKILL
    killed.signal(signal.SIGTERM)  # nobody is hit


async def test_waiting_can_be_given_up(tmp_path):
    child = Processes().start(a_role(tmp_path, *PYTHON, "import time; time.sleep(60)"))
    with trio.move_on_after(0.01):
        await child.wait()
    child.signal(signal.SIGKILL)
    await said_by(child)

    assert await child.wait() == -signal.SIGKILL


async def test_the_socket_of_an_earlier_life_is_not_taken_for_the_new_one(tmp_path):
    open_control(str(tmp_path / "a.sock"), "node.control").close()

    await said_by(Processes().start(a_role(tmp_path, *PYTHON, "")))

    assert not (tmp_path / "a.sock").exists()


async def test_a_program_that_is_not_there_is_an_end_with_its_reason(tmp_path):
    child = Processes().start(a_role(tmp_path, str(tmp_path / "nothing")))

    assert b"No such file" in await said_by(child)
    assert await child.wait() == 1


@pytest.mark.slow
async def test_the_end_of_a_thread_is_not_the_supervisors(tmp_path):
    child = Processes().start(a_role(tmp_path, *PYTHON, "import time; time.sleep(60)"))
    await trio.to_thread.run_sync(lambda: None)
    with trio.move_on_after(13) as patience:  # Trio dismisses idle threads after 10 s
        await child.wait()

    assert patience.cancelled_caught
    child.signal(signal.SIGKILL)
    await said_by(child)


def test_nobody_is_tethered_to_a_supervisor_that_is_gone():
    ended = subprocess.run(
        [sys.executable, "-I", "-S", tether.__file__, "1", "", sys.executable, "-c", "print('on')"],
        capture_output=True, text=True, timeout=20, check=False,
    )

    assert (ended.returncode, ended.stdout) == (tether.LOST, "")


def a_report(number: int) -> Report:
    return Report(
        node="n", incarnation=1, name="n", pid=1, state="alive", is_ready=True, report=number,
        connections=0, capacity=1,
    )


async def test_reports_are_heard_from_whenever_the_socket_is_there(tmp_path):
    role = a_role(tmp_path)
    heard, took = [], trio.Event()

    def take(report: Report) -> None:
        heard.append(report.report)
        took.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Processes().hear, role, take)
            await trio.sleep(0.1)
            for _ in range(2):
                took = trio.Event()
                async with trio.open_nursery() as life:
                    control = ControlSocket(open_control(role.control, "node.control"), a_report)
                    life.start_soon(control.run)
                    await took.wait()
                    life.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
    assert heard.count(0) == 2, "each life says how it is at once"


@pytest.mark.parametrize("garbage", [b"garbage", encode(Taken(1))])
async def test_who_talks_garbage_is_silent(tmp_path, garbage):
    role = a_role(tmp_path)
    heard = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            with trio.socket.from_stdlib_socket(open_control(role.control, "x")) as listening:
                nursery.start_soon(Processes().hear, role, heard.append)
                for message in (garbage, encode(a_report(1))):
                    link, _ = await listening.accept()
                    with link:
                        await link.send(message)
                        while not heard and message is not garbage:
                            await trio.sleep(0.01)
                        if message is garbage:
                            assert await link.recv(1) == b"", "the link is given up"
            nursery.cancel_scope.cancel()
    assert heard == [a_report(1)]
