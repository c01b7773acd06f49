"""What a real node does with the signals of an operator, while clients are connected."""

from __future__ import annotations

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.node_process import LOGGING_HOOKS, OPEN_NODE, NodeProcess, running_node

CONNECT = '{"id":1,"connect":{}}'


def joined(stack: ExitStack, node: NodeProcess) -> ClientConnection:
    """A client whose connect command succeeded."""
    client = stack.enter_context(connect(node.url, proxy=None, compression=None))
    client.send(CONNECT)
    assert '"client"' in client.recv(timeout=10)
    return client


def deaf(stack: ExitStack, node: NodeProcess) -> socket.socket:
    """A TCP connection that finished the handshake and then neither reads nor closes."""
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", node.port), timeout=10))
    sock.sendall(
        b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b"101" in sock.recv(4096)
    return sock


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_client_is_told_to_come_back_and_the_node_ends_with_0(tmp_path, number):
    with running_node(tmp_path) as node, ExitStack() as stack:
        clients = [joined(stack, node) for _ in range(50)]

        node.process.send_signal(number)

        for client in clients:
            with pytest.raises(ConnectionClosed) as caught:
                client.recv(timeout=10)
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (3001, "shutdown")
        assert node.process.wait(20) == 0


def test_clients_leave_one_after_the_other_at_the_rate_that_is_set(tmp_path):
    with (
        running_node(tmp_path, OPEN_NODE + "[failover]\nleave_rate = 10\n") as node,
        ExitStack() as stack,
    ):
        clients = [joined(stack, node) for _ in range(12)]
        node.process.send_signal(signal.SIGTERM)
        told = []
        with ThreadPoolExecutor(len(clients)) as pool:
            for moment in pool.map(_told_at, clients):
                told.append(moment)
        assert 1.0 <= max(told) - min(told) <= 10.0
        assert node.process.wait(20) == 0


def _told_at(client: ClientConnection) -> float:
    with pytest.raises(ConnectionClosed) as caught:
        client.recv(timeout=20)
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 3001
    return time.monotonic()


def test_a_stopping_node_lets_nobody_in(tmp_path):
    with running_node(tmp_path, OPEN_NODE + '[node]\nshutdown_timeout = "3s"\n') as node:
        with ExitStack() as stack:
            deaf(stack, node)
            node.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 10
            # Reset, if it was in the queue of the listener that closed just then.
            with pytest.raises(OSError, match=r"refused|reset"):
                while time.monotonic() < deadline:
                    socket.create_connection(("127.0.0.1", node.port), timeout=1).close()
                    time.sleep(0.02)
        assert node.process.wait(20) == 0


def test_clients_that_do_not_leave_cannot_hold_the_node_up(tmp_path):
    toml = OPEN_NODE + '[node]\nshutdown_timeout = "1s"\n'
    with running_node(tmp_path, toml) as node, ExitStack() as stack:
        for _ in range(5):
            deaf(stack, node)
        began = time.monotonic()

        assert node.stop() == 0

        assert time.monotonic() - began < 10


def test_a_second_signal_ends_it_at_once(tmp_path):
    toml = OPEN_NODE.replace("[client]", "[client]\nstale_close_delay = '10m'", 1)
    toml += '[node]\nshutdown_timeout = "10m"\n'
    with running_node(tmp_path, toml) as node, ExitStack() as stack:
        deaf(stack, node)
        node.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert node.process.poll() is None
        node.process.send_signal(signal.SIGTERM)

        assert node.process.wait(10) == 0


def test_a_hangup_reopens_the_log_and_disturbs_no_client(tmp_path):
    log = tmp_path / "service.log"
    (tmp_path / "hooks.py").write_text(LOGGING_HOOKS)
    toml = OPEN_NODE + f'[log]\nfile = "{log}"\n[app]\nmodule = "hooks:app"\n'
    with running_node(tmp_path, toml) as node, ExitStack() as stack:
        client = joined(stack, node)
        log.rename(tmp_path / "service.log.1")

        node.process.send_signal(signal.SIGHUP)

        deadline = time.monotonic() + 10
        while not log.exists():  # it is opened for the next line
            assert time.monotonic() < deadline
            joined(stack, node).close()
        client.send('{"id":2,"presence_stats":{"channel":"any"}}')
        assert '"id":2' in client.recv(timeout=10)
