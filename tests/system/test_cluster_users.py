"""What one user may have and send on three real nodes together."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import jwt
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.cluster_process import CLUSTER_NODE, await_that, running_cluster
from tests.node_process import SECRET, NodeProcess
from tests.servers.standalone import running_redis

LIMITED = CLUSTER_NODE.replace("[client]", "[client]\nuser_connection_limit = 2").replace(
    "[limits]", "[limits]\nuser_message_rate = 60\nuser_message_burst = 60"
)


@contextmanager
def joined(node: NodeProcess, user: str = "ann") -> Iterator[ClientConnection]:
    """A client of a user.

    :raises ConnectionClosed: it is not let in.
    """
    token = jwt.encode({"sub": user, "iat": int(time.time()) - 5}, SECRET, "HS256")
    with connect(node.url, proxy=None, compression=None) as client:
        client.send(json.dumps({"id": 1, "connect": {"token": token}}))
        assert "connect" in json.loads(client.recv(timeout=10))
        yield client


def code_of(node: NodeProcess, user: str = "ann") -> int:
    """Return with which code a new client is closed; 0: it is let in, and leaves again."""
    try:
        with joined(node, user):
            return 0
    except ConnectionClosed as closed:
        assert closed.rcvd is not None
        return closed.rcvd.code


def flood(client: ClientConnection, seconds: float) -> int:
    """Return how many calls are answered to a client that makes them as fast as it can."""
    answered = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        client.send('{"id":7,"presence_stats":{"channel":"x"}}')
        answered += client.recv(timeout=10).count('"id":7')
    return answered


def test_connections_messages_and_revocations_of_a_user_count_everywhere(tmp_path: Path) -> None:
    with (
        running_redis() as server,
        running_cluster(tmp_path, server.url, base=LIMITED) as nodes,
        ExitStack() as stack,
    ):
        first = stack.enter_context(joined(nodes[0]))
        second = stack.enter_context(joined(nodes[1]))
        assert code_of(nodes[2]) == 3504
        assert code_of(nodes[2], "bob") == 0

        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            answered = sum(pool.map(lambda client: flood(client, 3.0), (first, second)))
        took = time.monotonic() - began
        # The burst, the rate, and on each node what is on its way.
        assert answered <= 60 + 1.1 * 60 * took + 20
        assert answered >= 0.7 * 60 * 3.0

        os.kill(nodes[1].pid, signal.SIGKILL)
        nodes[1].process.wait()
        await_that(lambda: code_of(nodes[2]), lambda code: code == 0)

        nodes[2].call("revoke_token", uid="unused", expire_at=int(time.time()) + 600)
        nodes[2].call("invalidate_user_tokens", user="ann",
                      expire_at=int(time.time()) + 600, issued_before=int(time.time()))
        await_that(lambda: code_of(nodes[0]), lambda code: code == 3500)
