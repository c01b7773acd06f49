"""`python -m wsmesh up`: a gateway and nodes are kept running, whatever happens to them."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.node_process import OPEN_NODE
from tests.supervisor.up_process import (
    CLUSTER,
    UpProcess,
    eventually,
    is_gone,
    running_up,
    started,
)

ALONE = CLUSTER.partition("[redis]")[0]
"""For one node, which needs no store."""


@pytest.fixture(scope="module")
def up() -> Iterator[UpProcess]:
    """A cluster of two nodes behind a gateway, which each test leaves complete."""
    with running_up("--nodes", "2") as process:
        yield process


def joined(stack: ExitStack, url: str) -> ClientConnection:
    """A client whose connect command succeeded.

    It comes back after a 503, as SDKs do: a gateway that has just started knows no nodes yet. A
    connection that is refused or reset fails it.
    """
    deadline = time.monotonic() + 10
    while True:
        try:
            client = connect(url, proxy=None, compression=None, open_timeout=20)
            break
        except InvalidStatus as answer:
            assert answer.response.status_code == 503
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)
    stack.enter_context(client)
    client.send('{"id":1,"connect":{}}')
    assert '"client"' in client.recv(timeout=20)
    return client


def lives(up: UpProcess) -> dict[str, int]:
    return {name: len(up.pids(name)) for name in ("gateway", "node-1", "node-2")}


def test_the_table_shows_where_everything_is(up):
    for name in ("gateway", "node-1", "node-2"):
        report = up.report(name)
        assert report is not None
        assert re.search(rf"{name} +{report.pid} +127\.0\.0\.1:{up.port(name)}\b", up.table)
    assert f"wsmesh: listening on 127.0.0.1:{up.port('gateway')}\n" in up.log


def test_clients_of_the_one_address_are_one_cluster(up):
    with ExitStack() as stack:
        clients: list[ClientConnection] = []

        def are_on_both_nodes() -> bool:
            clients.append(joined(stack, up.url()))
            reports = [up.report(name) for name in ("node-1", "node-2")]
            return all(report is not None and report.connections for report in reports)

        eventually(are_on_both_nodes, "clients on both nodes")
        for client in clients:
            client.send('{"id":2,"subscribe":{"channel":"news"}}')
            while '"id":2' not in client.recv(timeout=10):
                pass
        clients[0].send('{"id":3,"publish":{"channel":"news","data":"hello"}}')

        for client in clients:
            while "hello" not in client.recv(timeout=10):
                pass


def test_every_line_of_the_log_says_whose_it_is(up):
    for name in ("gateway", "node-1", "node-2"):
        assert up.events(f"{name.partition('-')[0]}.started", node=name)


def test_a_killed_node_is_started_again_and_the_others_keep_their_clients(up):
    before = lives(up)
    with ExitStack() as stack:
        joined_to = joined(stack, up.url("node-1"))
        began = time.monotonic()
        os.kill(up.pids("node-2")[-1], signal.SIGKILL)
        up.await_ready("node-2", life=before["node-2"] + 1)

        assert time.monotonic() - began < 20
        joined_to.send('{"id":2,"presence_stats":{"channel":"any"}}')
        assert '"id":2' in joined_to.recv(timeout=10)
    assert lives(up) == before | {"node-2": before["node-2"] + 1}


def test_a_node_that_hangs_is_killed_and_started_again(up):
    before = lives(up)
    with ExitStack() as stack:
        client = joined(stack, up.url("node-1"))
        began = time.monotonic()
        os.kill(pid := up.pids("node-1")[-1], signal.SIGSTOP)
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=20)
        silent = time.monotonic() - began
        up.await_ready("node-1", life=before["node-1"] + 1)

    # Three seconds, of which a report may have used a quarter, and the machine is shared.
    assert 2.7 < silent < 8
    assert up.events("process.killed", pid=pid)[0]["reason"] == "said nothing for 3 s"
    assert lives(up) == before | {"node-1": before["node-1"] + 1}


def test_a_killed_gateway_costs_nobody_a_connection_and_refuses_nobody_meanwhile(up):
    before = lives(up)
    with ExitStack() as stack:
        client = joined(stack, up.url())
        os.kill(up.pids("gateway")[-1], signal.SIGKILL)

        late = joined(stack, up.url())

        for each in (client, late):
            each.send('{"id":2,"presence_stats":{"channel":"any"}}')
            assert '"id":2' in each.recv(timeout=10)
    up.await_ready("gateway", life=before["gateway"] + 1)
    assert lives(up) == before | {"gateway": before["gateway"] + 1}


def test_a_hangup_lets_all_read_their_configuration_again(up):
    before = lives(up)
    config = up.directory / "wsmesh.toml"
    config.write_text(config.read_text() + '[log]\nlevel = "debug"\n')

    up.process.send_signal(signal.SIGHUP)

    for name in ("node-1", "node-2"):
        eventually(
            lambda name=name: up.events("config.reloaded", node=name), f"{name} reloads: {up.log}"
        )
    assert lives(up) == before


def test_a_rolling_restart_replaces_each_node_and_always_serves(up):
    before = lives(up)
    up.process.send_signal(signal.SIGUSR2)
    served = 0
    while not up.events("rolling.finished"):
        try:
            with ExitStack() as stack:
                joined(stack, up.url())
                served += 1
        except ConnectionClosed as end:  # told to come back, not cut off
            assert end.rcvd is not None
            assert end.rcvd.code == 3001
    up.await_ready("node-1", "node-2", life=2)

    after = lives(up)
    assert after == {
        "gateway": before["gateway"], "node-1": before["node-1"] + 1, "node-2": before["node-2"] + 1
    }
    assert served > 1
    ends = {line["name"]: line for line in up.events("process.ended")}
    assert [ends[name]["status"] for name in ("node-1", "node-2")] == [0, 0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_tells_clients_to_come_back_and_ends_with_0(number):
    with running_up("--nodes", "1", toml=ALONE) as up, ExitStack() as stack:
        client = joined(stack, up.url())
        port = up.port("gateway")

        up.process.send_signal(number)

        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=20)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 3001
        assert up.process.wait(20) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        assert not (up.directory / "run" / "gateway.sock").exists()


def test_a_second_signal_ends_it_at_once():
    toml = ALONE.replace('"5s"', '"10m"')
    toml = toml.replace("[client]", "[client]\nstale_close_delay = '10m'", 1)
    with running_up("--nodes", "1", "--no-gateway", toml=toml) as up:
        with socket.create_connection(("127.0.0.1", up.port("node-1")), timeout=10) as deaf:
            deaf.sendall(
                b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert b"101" in deaf.recv(4096)
            up.process.send_signal(signal.SIGTERM)
            eventually(lambda: up.events("node.draining"), "the node drains")
            time.sleep(0.5)
            assert up.process.poll() is None
            up.process.send_signal(signal.SIGTERM)

            assert up.process.wait(10) == 0


def test_nobody_outlives_a_killed_supervisor_not_even_who_hangs():
    with running_up("--nodes", "1", toml=ALONE) as up:
        pids = [up.pids(name)[0] for name in ("gateway", "node-1")]
        os.kill(pids[1], signal.SIGSTOP)

        up.process.kill()

        eventually(lambda: all(map(is_gone, pids)), "all are gone", within=5)


def test_a_directory_that_a_killed_supervisor_left_serves_the_next_one():
    with running_up("--nodes", "1", "--no-gateway", toml=ALONE) as up:
        up.process.kill()
        up.process.wait()
        left = up.directory / "run" / "nodes" / "node-1.sock"
        assert left.exists()
        toml = ALONE.replace("DIRECTORY/run", str(up.directory / "run"))
        with started(("--port", "0", "--nodes", "1", "--no-gateway"), toml) as second:
            eventually(lambda: second.table.strip(), f"the second starts: {second.log}")
            second.process.terminate()
            assert second.process.wait(20) == 0
        assert not left.exists()


def test_what_only_a_node_can_find_wrong_is_the_reason_to_give_up_with_2():
    with started(
        ("--nodes", "1", "--port", "0"), ALONE + "[app]\nmodule = 'no_such_module_here:app'\n"
    ) as up:
        assert up.process.wait(30) == 2, up.log
        reason = [line for line in up.log.splitlines() if line.startswith("wsmesh: ")]

        assert len(reason) == 1
        assert reason[0].startswith("wsmesh: node-1: app.module: ")
        assert "no_such_module_here" in reason[0]
        assert up.table == ""
        assert len(up.pids("node-1")) == 1


def test_a_node_that_crashes_again_and_again_is_the_reason_to_give_up_with_1():
    rules = '[supervisor]\ngive_up_after = 3\nrestart_backoff = "50ms"\n'
    toml = ALONE.replace("[supervisor]\n", rules) + '[app]\nmodule = "hooks:app"\n'
    with started(("--nodes", "1", "--port", "0", "--no-gateway"), toml) as up:
        (up.directory / "hooks.py").write_text("import os\nos.write(2, b'no disk\\n')\nos._exit(7)")
        assert up.process.wait(60) == 1, up.log

        assert "wsmesh: node-1 failed 3 times in a row; it said last:\nwsmesh: no disk\n" in up.log
        assert len(up.pids("node-1")) == 3


@pytest.mark.parametrize(
    ("words", "toml", "told"),
    [
        (("--nodes", "0"), ALONE, "--nodes"),
        (("--nodes", "2", "--no-gateway"), OPEN_NODE + "[[listeners]]\naddress='unix:/tmp/x'\n",
         "supervisor.gateway: several nodes cannot listen on unix:/tmp/x"),
        ((), ALONE.replace("3s", "1ms"), "supervisor.hang_timeout"),
        ((), ALONE.replace("DIRECTORY/run", "/dev/null/x"), "supervisor.runtime_dir"),
        ((), OPEN_NODE + "[balancer]\nstrategy = 'p2d'", "did you mean p2c?"),
    ],
)
def test_what_the_supervisor_finds_wrong_starts_nothing(words, toml, told):
    with started(words, toml) as up:
        assert up.process.wait(30) == 2, up.log
        assert told in up.log
        assert up.events("process.started") == []


def test_dev_mode_is_loud_once_and_a_log_file_has_the_lines_of_all_with_names():
    toml = '[log]\nfile = "DIRECTORY/log"\nformat = "console"\n'
    with running_up("--nodes", "1", "--no-gateway", "--dev", toml=ALONE + toml) as up:
        written = eventually(lambda: (up.directory / "log").read_text(), "lines in the file")

        assert up.log.count("DEVELOPMENT MODE") == 1
        assert "DEVELOPMENT MODE" not in written
        assert re.search(r"^node-1 \| .*node\.started", written, re.MULTILINE)
        assert re.search(r"^[^|]*process\.started", written, re.MULTILINE)
        assert up.log.count("node-1 |") == 0
        with ExitStack() as stack:
            joined(stack, up.url("node-1"))


def test_without_a_gateway_each_node_has_an_address_of_its_own():
    with running_up("--nodes", "2", "--no-gateway", "--cpu-affinity") as up, ExitStack() as stack:
        assert "gateway" not in up.table
        for name in ("node-1", "node-2"):
            joined(stack, up.url(name))
        cores = sorted(os.sched_getaffinity(0))
        for number, name in enumerate(("node-1", "node-2")):
            assert os.sched_getaffinity(up.pids(name)[0]) == {cores[number % len(cores)]}
