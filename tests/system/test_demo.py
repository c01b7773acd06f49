"""`python -m wsmesh demo`, as somebody who tries wsmesh runs it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.node_process import clean_environment, running_node
from wsmesh.cli.story import StepFailed, Teller, tell_story

DEMO = (sys.executable, "-m", "wsmesh", "demo")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def cluster_in(text: str) -> tuple[int, list[int]]:
    """Return the gateway's port, and the processes that the demonstration has named."""
    found = re.search(r"listens on 127\.0\.0\.1:(\d+)", text)
    assert found is not None, text
    return int(found[1]), [int(pid) for pid in re.findall(r"process (\d+)", text)]


def test_every_step_holds_and_no_process_is_left(tmp_path):
    ended = subprocess.run(
        [*DEMO, "--exit", "--port", "0"], capture_output=True, text=True, timeout=120,
        check=False, cwd=tmp_path, env=clean_environment(),
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("none lost, none twice, all in order") == 3
    for number in range(1, 6):
        assert f"recovered #{number + 3} 'missed message {number}'" in ended.stdout
    for claim in (
        "is on another node, its session continued", "was started again by the supervisor",
        "first fills one node", "round_robin takes turns",
    ):
        assert claim in ended.stdout
    pids = cluster_in(ended.stdout)[1]
    assert len(set(pids)) == 4
    assert not any(map(is_alive, pids))


@pytest.mark.parametrize(
    "broken",
    [
        "[channel.without_namespace]\nhistory_size = 0",
        "[channel.without_namespace]\nhistory_size = 2\nhistory_ttl = '1m'",
        "[http_api]\ninsecure = false\nkey = 'a key that the story does not know'",
    ],
)
async def test_a_step_that_does_not_hold_fails_the_story(tmp_path, broken):
    with running_node(tmp_path, f"[node]\ndev = true\n{broken}\n") as node:
        with pytest.RaisesGroup(StepFailed, flatten_subgroups=True, allow_unwrapped=True):
            await tell_story(node.port, Teller())


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_on_a_terminal_the_cluster_stays_until_it_is_told_to_stop(tmp_path, number):
    ours, its = pty.openpty()
    demo = subprocess.Popen(
        [*DEMO, "--port", "0"], stdin=its, stdout=its, stderr=its, cwd=tmp_path,
        env=clean_environment(),
    )
    os.close(its)
    try:
        said = ""
        while "Ctrl-C stops it" not in said:
            said += os.read(ours, 4096).decode()
        port, pids = cluster_in(said)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://127.0.0.1:{port}/health/ready", timeout=10) as answer:
            assert answer.status == 200

        demo.send_signal(number)

        assert demo.wait(40) == 0
        assert not any(map(is_alive, pids))
    finally:
        demo.kill()
        demo.wait()
        os.close(ours)
