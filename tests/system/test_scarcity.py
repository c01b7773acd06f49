"""A real node that runs out of what the system gives: descriptors, disk, a reader of its log."""

from __future__ import annotations

import os
import re
import socket
from contextlib import ExitStack, suppress

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.node_process import LOGGING_HOOKS, OPEN_NODE, NodeProcess, running_node

HOOKS = """
[app]
module = "hooks:app"
"""

NO_LIMITS = """
[limits]
connects_per_ip = 100000
connects_per_ip_burst = 100000
max_connections_per_ip = 100000
accept_rate = 100000
accept_burst = 100000
"""


def come_and_go(node: NodeProcess, times: int) -> None:
    """Connect and leave, each of which the hooks log."""
    for _ in range(times):
        with connect(node.url, proxy=None, compression=None) as client:
            client.send('{"id":1,"connect":{"name":"' + "n" * 50 + '"}}')
            assert '"client"' in client.recv(timeout=10)


def test_a_full_disk_under_the_log_stops_nobody(tmp_path):
    (tmp_path / "hooks.py").write_text(LOGGING_HOOKS)
    toml = OPEN_NODE + HOOKS + '[log]\nfile = "/dev/full"\n'
    with running_node(tmp_path, toml) as node:
        come_and_go(node, 50)

        assert node.get("/health/ready")[0] == 200
        assert lines_dropped(node) >= 50


def lines_dropped(node: NodeProcess) -> float:
    found = re.search(r"^wsmesh_log_lines_dropped_total (\S+)", node.get("/metrics")[1], re.M)
    assert found is not None
    return float(found[1])


def test_a_log_that_nobody_reads_stops_nobody(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while os.write(writer, b"." * 4096):
            pass
    os.close(writer)
    (tmp_path / "hooks.py").write_text(LOGGING_HOOKS)
    toml = OPEN_NODE + HOOKS + f'[log]\nfile = "{pipe}"\nqueue_lines = 10\n'
    with running_node(tmp_path, toml) as node:
        come_and_go(node, 50)

        assert node.get("/health/ready")[0] == 200
        assert lines_dropped(node) > 0
        assert node.stop() == 0
    os.close(reader)


def test_descriptors_never_run_out(tmp_path):
    limit = 600
    under = ("prlimit", f"--nofile={limit}:{limit}")
    with running_node(tmp_path, OPEN_NODE + NO_LIMITS, under=under) as node, ExitStack() as stack:
        insider = stack.enter_context(connect(node.url, proxy=None, compression=None))
        insider.send('{"id":1,"connect":{}}')
        assert '"client"' in insider.recv(timeout=10)
        refused = 0
        for _ in range(limit):
            try:
                client = connect(node.url, proxy=None, compression=None, open_timeout=5)
                stack.enter_context(client)
            except InvalidStatus as answer:
                assert answer.response.status_code == 503
                refused += 1
            except (OSError, EOFError, TimeoutError):
                refused += 1

        open_files = len(os.listdir(f"/proc/{node.pid}/fd"))
        insider.send('{"id":2,"publish":{"channel":"still","data":{"works":true}}}')

        assert '"id":2' in insider.recv(timeout=10)
        assert refused > 0
        assert open_files < limit
        assert "Too many open files" not in node.said()
        socket.create_connection(("127.0.0.1", node.port), timeout=5).close()
