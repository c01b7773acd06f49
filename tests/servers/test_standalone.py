"""The Redis that tests get is real, fast to have, and obeys the faults it is told."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from tests.node_process import REPOSITORY, clean_environment
from tests.servers.standalone import AOF_ALWAYS, ONCE, redis_server, running_redis

START_WITHIN = 0.5
"""Seconds; usually 15 ms. A second is what a client that waits for a retry would take."""


def test_a_server_is_there_at_once_and_empty() -> None:
    began = time.perf_counter()
    with running_redis() as server:
        took = time.perf_counter() - began
        assert server.admin.dbsize() == 0
        with redis.Redis.from_url(server.url) as by_url:
            assert by_url.ping()
        with redis.Redis.from_url(server.unix_url) as by_socket:
            assert by_socket.info("server")["process_id"] == server.pid
    assert took < START_WITHIN
    assert not server.is_running
    assert not server.directory.exists()


async def test_it_is_an_async_context_too() -> None:
    async with redis_server({"maxmemory": "7mb"}) as server:
        assert server.admin.config_get("maxmemory") == {"maxmemory": "7340032"}
    assert not server.is_running


def test_a_killed_server_loses_what_it_did_not_persist(redis_server) -> None:
    redis_server.admin.set("key", "value")
    redis_server.kill()
    with pytest.raises(redis.ConnectionError):
        redis_server.admin.ping()
    redis_server.start()
    assert redis_server.admin.get("key") is None


def test_a_restart_keeps_data_and_port_and_changes_the_process(redis_server) -> None:
    redis_server.admin.set("key", "value")
    pid, port = redis_server.pid, redis_server.port
    redis_server.restart()
    assert redis_server.admin.get("key") == "value"
    assert (redis_server.pid == pid, redis_server.port == port) == (False, True)


def test_an_empty_restart_forgets_even_what_was_on_disk(start_redis) -> None:
    server = start_redis(AOF_ALWAYS)
    server.admin.set("key", "value")
    server.kill()
    server.start()
    assert server.admin.get("key") == "value"
    server.restart_empty()
    assert server.admin.get("key") is None


def test_a_stopped_server_is_connected_and_silent(redis_server) -> None:
    with redis_server.client(socket_timeout=0.1) as client:
        client.ping()
        redis_server.stop()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        assert (redis_server.is_running, redis_server.is_answering) == (True, False)
        redis_server.cont()
        assert client.ping()


def test_a_stopped_server_can_be_closed() -> None:
    with running_redis() as server:
        server.stop()
    assert not server.is_running


def test_a_port_does_not_pass_to_outgoing_connections(redis_server) -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as limits:
        assert redis_server.port < int(limits.read().split()[0])


def test_tls_needs_the_authority_and_nothing_else_is_spoken(start_redis) -> None:
    server = start_redis(tls=True)
    assert server.url.startswith("rediss://")
    assert server.admin.ping()
    with redis.Redis.from_url(server.url, ssl_ca_certs=str(server.tls.ca)) as client:
        assert client.ping()
    with redis.Redis.from_url(server.url, **ONCE) as stranger, pytest.raises(redis.ConnectionError):
        stranger.ping()
    with redis.Redis(port=server.port, **ONCE) as plain, pytest.raises(redis.ConnectionError):
        plain.ping()


def test_users_may_do_what_their_rules_say(start_redis) -> None:
    server = start_redis(users={"node": "on >secret ~wsmesh:* +@all"})
    with redis.Redis.from_url(server.url, **ONCE) as nobody:
        with pytest.raises(redis.AuthenticationError):
            nobody.ping()
    with redis.Redis.from_url(server.url_for("node", "secret")) as node:
        assert node.set("wsmesh:key", 1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            node.set("other", 1)
    assert server.admin.get("wsmesh:key") == "1"


def test_a_server_that_cannot_start_says_why() -> None:
    with pytest.raises(AssertionError, match="Bad directive"):
        with running_redis({"no-such-directive": "1"}):
            raise RuntimeError("unreachable")


def test_valkey_confirms_what_is_on_disk(start_redis, valkey_server) -> None:
    assert int(valkey_server.admin.info("server")["valkey_version"].split(".")[0]) >= 8
    server = start_redis(AOF_ALWAYS, binary=valkey_server.binary)
    with server.client() as client:
        client.set("key", "value")
        assert client.waitaof(1, 0, 1000) == [1, 0]


def test_a_killed_parent_takes_its_servers_along(tmp_path: Path) -> None:
    program = (
        "import sys; from tests.servers.standalone import running_redis\n"
        "with running_redis() as server:\n"
        "    print(server.port, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=REPOSITORY, env=clean_environment(TMPDIR=str(tmp_path)),
    ) as child:
        assert child.stdout is not None
        with redis.Redis(port=int(child.stdout.readline()), **ONCE) as client:
            client.ping()
            child.kill()
            deadline = time.monotonic() + 5
            with pytest.raises(redis.ConnectionError):
                while time.monotonic() < deadline:
                    client.ping()
