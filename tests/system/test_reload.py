"""SIGHUP at a real node: the file is read again while clients stay connected."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.node_process import OPEN_NODE, SECRET, NodeProcess, running_node

ANOTHER = "another shared secret of 32 bytes or more"


@contextmanager
def joined(node: NodeProcess, token: str = "", origin: str | None = None) -> Iterator[Any]:
    """A client that sent its connect command; what it was answered is its `reply`."""
    with connect(node.url, proxy=None, compression=None, origin=origin) as client:  # type: ignore[arg-type]
        yield client, ask(client, 1, "connect", token=token)


def ask(client: ClientConnection, number: int, command: str, **fields: Any) -> dict[str, Any]:
    client.send(json.dumps({"id": number, command: fields}))
    while True:
        for line in str(client.recv(timeout=10)).splitlines():
            message: dict[str, Any] = json.loads(line)
            if message.get("id") == number:
                return message


def hang_up(node: NodeProcess, toml: str) -> dict[str, Any]:
    """Exchange the file, send SIGHUP, return the line of the log that says what came of it."""
    config = node.log.parent / "wsmesh.toml"
    fresh = config.with_suffix(".new")
    fresh.write_text(toml)
    os.replace(fresh, config)
    known = len(node.said())
    node.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in node.said()[known:].splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n"):
                found: dict[str, Any] = json.loads(line)
                if found["event"] in ("config.reloaded", "config.refused"):
                    return found
        time.sleep(0.02)
    raise AssertionError(node.said())


def test_keys_origins_limits_and_the_level_change_and_clients_stay(tmp_path: Path) -> None:
    toml = OPEN_NODE.replace('["*"]', '["https://a.example"]')
    token, fresh = (jwt.encode({"sub": "u"}, secret, "HS256") for secret in (SECRET, ANOTHER))
    with running_node(tmp_path, toml) as node, joined(node, token) as (stays, reply):
        assert "connect" in reply
        assert "subscribe" in ask(stays, 2, "subscribe", channel="c")
        changed = toml.replace(SECRET, ANOTHER).replace(node.api_key, "k" * 32)
        changed = changed.replace("https://a.example", "https://b.example")
        changed += '[limits]\nhttp_path_length = "64B"\n[log]\nlevel = "debug"\n'

        done = hang_up(node, changed)

        names = {text for name, text in done.items() if name.startswith("option_")}
        assert done["event"] == "config.reloaded"
        assert names == {
            "client.allowed_origins", "client.token.hmac_secret_key", "http_api.key",
            "limits.http_path_length", "log.level",
        }
        assert "publish" in ask(stays, 3, "publish", channel="c", data=1)
        with joined(node, fresh, "https://b.example") as (_, reply):
            assert "connect" in reply
        try:
            with joined(node, fresh, "https://a.example"):
                raise AssertionError("an origin of the old file was let in")
        except InvalidStatus as refused:
            assert refused.response.status_code == 403
        assert node.get("/" + "x" * 64)[0] == 414
        node.api_key = "k" * 32
        assert node.call("info")["nodes"]
        assert ANOTHER not in node.said()


def test_a_file_with_faults_changes_nothing_and_every_fault_is_told(tmp_path: Path) -> None:
    broken = OPEN_NODE.replace("[client]", "[client]\npong_timeout = 5\nchannel_limt = 3", 1)
    broken += '[log]\nlevel = "loud"\n[limits]\nmessage_rate = "many"\n[nodes]\nx = 1\n'
    with running_node(tmp_path) as node, joined(node) as (client, _):
        done = hang_up(node, broken)

        faults = [text for name, text in done.items() if name.startswith("fault_")]
        assert (done["event"], done["level"]) == ("config.refused", "error")
        for path in ("client.channel_limt", "log.level", "limits.message_rate", "nodes"):
            assert any(f"wsmesh.toml: {path}: " in fault for fault in faults), (path, faults)
        assert len(faults) == 4
        assert hang_up(node, "not TOML [")["fault_01"].startswith(str(tmp_path))
        (tmp_path / "wsmesh.toml").unlink()
        assert node.call("info")["nodes"]
        assert "publish" in ask(client, 2, "publish", channel="c", data=1)
        assert hang_up(node, OPEN_NODE)["event"] == "config.reloaded"


def test_what_needs_a_restart_is_named_in_one_line(tmp_path: Path) -> None:
    more = '[compression]\nenabled = true\n[tls]\nreload_interval = "1m"\n[node]\nname = "n"\n'
    with running_node(tmp_path) as node, joined(node):
        done = hang_up(node, OPEN_NODE + more)

        assert not [name for name in done if name.startswith("option_")]
        deadline = time.monotonic() + 10
        while "config.needs_restart" not in node.said() and time.monotonic() < deadline:
            time.sleep(0.02)
        (line,) = [line for line in node.said().splitlines() if "config.needs_restart" in line]
        warning = json.loads(line)
        assert warning["level"] == "warning"
        assert [text for name, text in sorted(warning.items()) if name.startswith("option_")] == [
            "node.name", "tls.reload_interval", "compression.enabled",
        ]


def test_a_file_that_is_never_read_to_its_end_does_not_hold_the_node_up(tmp_path: Path) -> None:
    with running_node(tmp_path) as node, joined(node):
        config = tmp_path / "wsmesh.toml"
        config.unlink()
        os.mkfifo(config)
        node.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert node.get("/health/live")[0] == 200

        assert node.stop() == 0
