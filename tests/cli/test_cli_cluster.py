"""`cluster` shows nodes and connections, from a node or from the store."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import redis

from tests.node_process import clean_environment
from tests.servers.standalone import RedisServer
from wsmesh.cluster.nodes import NodeRecord, encode_record

NODES = [
    {"uid": "u1", "name": "one", "version": "1", "num_clients": 90, "capacity": 100, "zone": "z"},
    {"uid": "u2", "name": "two", "version": "1", "state": "draining", "incarnation": 3},
]


def answer(api: Any, result: Any) -> None:
    api.body = json.dumps({"result": result}).encode()


def test_a_table_shows_state_and_load_and_sums_up(invoke, api) -> None:
    answer(api, {"nodes": NODES})
    shown = invoke("cluster", "--url", api.url, "--api-key", "k")
    assert shown.exit_code == 0
    for text in ("one", "two", "draining", "90", "90%", "u2/3", "2 nodes", "z"):
        assert text in shown.output
    assert api.requests == [("/api/info", "k", {})]


def test_json_has_every_fact(invoke, api) -> None:
    answer(api, {"nodes": NODES})
    shown = json.loads(invoke("cluster", "--json", "--url", api.url).output)
    assert [each["state"] for each in shown] == ["alive", "draining"]
    assert shown[0]["num_clients"] == 90


def test_a_users_connections_are_listed(invoke, api) -> None:
    answer(api, {"connections": {"c1": {
        "user": "ann", "node": "one", "address": "192.0.2.1", "app_name": "js",
        "app_version": "5", "channels": ["a", "b"],
    }}})  # fmt: skip
    shown = invoke("cluster", "sessions", "ann", "--url", api.url)
    for text in ("c1", "one", "192.0.2.1", "js 5", "a, b"):
        assert text in shown.output
    assert api.requests == [("/api/connections", None, {"user": "ann"})]
    answer(api, {"connections": {}})
    assert "ann has no connection" in invoke("cluster", "sessions", "ann", "--url", api.url).output


def test_drain_names_the_node_and_tells_why_it_cannot(invoke, api) -> None:
    answer(api, {})
    assert "one drains" in invoke("cluster", "drain", "one", "--url", api.url).output
    assert api.requests == [("/api/drain", None, {"node": "one"})]
    api.body = b'{"error": {"code": 107, "message": "0 nodes are called \'x\'"}}'
    refused = invoke("cluster", "drain", "x", "--url", api.url)
    assert refused.exit_code == 1
    assert "0 nodes are called 'x'" in refused.output


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own: it opens a log, which needs a real standard error."""
    return subprocess.run(
        [sys.executable, "-m", "wsmesh", *words], capture_output=True, text=True, timeout=30,
        env=clean_environment(), check=False,
    )


def test_the_store_is_read_where_no_node_answers(
    redis_server: RedisServer, tmp_path
) -> None:
    admin: redis.Redis = redis_server.admin
    for name, left in (("one", 60_000), ("two", -5_000)):
        record = NodeRecord(
            node=name, incarnation=1, name=name, connections=7, state="alive", capacity=9,
            listeners=("10.0.0.5:8000",),
        )
        admin.hset("wsmesh:{cluster}:nodes", f"{name}/1", encode_record(record))
        seconds, _ = admin.time()
        admin.zadd("wsmesh:{cluster}:leases", {f"{name}/1": seconds * 1000 + left})
    config = tmp_path / "wsmesh.toml"
    config.write_text(f'[redis]\nurl = "{redis_server.url}"\n')
    shown = json.loads(command("cluster", "--json", "--config", str(config)).stdout)
    assert [(each["name"], each["state"]) for each in shown] == [
        ("one", "alive"), ("two", "silent"),
    ]
    records = command("cluster", "srv", "_ws._tcp.chat.example", "--config", str(config)).stdout
    assert records == (
        "_ws._tcp.chat.example. 5 IN SRV 0 100 8000 one.chat.example.\n"
        "one.chat.example. 5 IN A 10.0.0.5\n"
    )
    refused = command("cluster", "srv", "chat.example", "--config", str(config))
    assert refused.returncode == 2 and "_wsmesh._tcp.chat.example" in refused.stderr
    redis_server.kill()
    refused = command("cluster", "--config", str(config), "--timeout", "300ms")
    assert refused.returncode == 1
    assert "cannot read the store of the configuration within 0.3 s" in refused.stderr


def test_records_need_a_registry(invoke) -> None:
    refused = invoke("cluster", "srv", "_ws._tcp.chat.example")
    assert refused.exit_code == 2 and "[redis] url" in refused.output


def test_without_a_living_node_nobody_can_be_asked(redis_server: RedisServer, tmp_path) -> None:
    config = tmp_path / "wsmesh.toml"
    config.write_text(f'[redis]\nurl = "{redis_server.url}"\n')
    refused = command("cluster", "sessions", "ann", "--config", str(config))
    assert refused.returncode == 1
    assert "no node of the cluster is alive: give --url" in refused.stderr


def test_releases_want_a_store(invoke) -> None:
    for words in (("releases",), ("weigh", "a=1"), ("promote", "a"), ("rollback",)):
        refused = invoke("cluster", *words)
        assert refused.exit_code == 2
        assert "[redis] url, which is empty" in refused.output


def test_a_share_is_a_number_up_to_one(invoke) -> None:
    for share in ("green", "green=", "green=2", "=0.5", "green=-1", "green=nan"):
        refused = invoke("cluster", "weigh", share)
        assert refused.exit_code == 2
        assert f"found {share!r}" in refused.output


def test_a_restart_names_nodes_that_are_not_there(invoke, api) -> None:
    answer(api, {"nodes": NODES})
    refused = invoke("cluster", "restart", "one", "nine", "--url", api.url)
    assert refused.exit_code == 1
    assert "no such node is alive: nine" in refused.output
    assert api.requests == [("/api/info", None, {})], "nobody drains for a command that is wrong"
