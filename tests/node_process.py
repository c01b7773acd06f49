"""A real node as a child process: started on a free port, stopped by SIGTERM, its end checked."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import define

REPOSITORY = Path(__file__).parents[1]
START_WITHIN = 30.0
STOP_WITHIN = 20.0

SECRET = "the shared secret of the end-to-end tests"
API_KEY = "the API key of the end-to-end tests"

OPEN_NODE = f"""
[client]
allow_anonymous_connect_without_token = true
allowed_origins = ["*"]

[client.token]
hmac_secret_key = "{SECRET}"

[http_api]
key = "{API_KEY}"

[channel.without_namespace]
presence = true
join_leave = true
history_size = 300
history_ttl = "5m"
force_recovery = true
allow_recovery = true
allow_positioning = true
allow_subscribe_for_client = true
allow_subscribe_for_anonymous = true
allow_publish_for_client = true
allow_publish_for_anonymous = true
allow_history_for_client = true
allow_history_for_anonymous = true
allow_presence_for_client = true
allow_presence_for_anonymous = true
"""
"""Everybody may do everything, and every channel has history, presence and recovery."""

LOGGING_HOOKS = """
import structlog
from wsmesh.app import App, ConnectGrant

app = App()

@app.on_connect
async def connect(context):
    structlog.get_logger("hooks").info("joined", name=context.name)
    return ConnectGrant(user="anybody")
"""
"""A `hooks.py` that writes one line of the log for each client."""

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without what configures a node."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("WSMESH_")}
    return kept | {"PYTHONPATH": str(REPOSITORY)} | more


@define(eq=False, kw_only=True)
class NodeProcess:
    """A node that accepts clients."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    secret: str = SECRET
    api_key: str = API_KEY

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def url(self) -> str:
        """Where Centrifugo clients connect."""
        return f"ws://127.0.0.1:{self.port}/connection/websocket"

    @property
    def http_url(self) -> str:
        """Where `/api`, `/health` and `/metrics` are."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of an HTTP GET."""
        try:
            with _direct.open(self.http_url + path, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def call(self, method: str, **body: Any) -> Any:
        """Return the result of an HTTP API method; blocks, so not for a Trio task under load."""
        request = urllib.request.Request(
            f"{self.http_url}/api/{method}",
            json.dumps(body).encode(),
            {"X-API-Key": self.api_key, "Content-Type": "application/json"},
        )
        with _direct.open(request, timeout=10) as answer:
            reply = json.load(answer)
        assert "error" not in reply, reply
        return reply["result"]

    def said(self) -> str:
        """Return what it wrote to standard error so far."""
        return self.log.read_text(errors="replace")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; return the exit status once the process is gone."""
        self.process.send_signal(number)
        return self.process.wait(STOP_WITHIN)


@contextmanager
def running_node(
    directory: Path, toml: str = OPEN_NODE, *, words: Sequence[str] = ("--port", "0"),
    may_log_tracebacks: bool = False, under: Sequence[str] = (),
) -> Iterator[NodeProcess]:
    """A ready node on a free port; at the end it must obey SIGTERM with status 0.

    A test that ends the process itself is not asked about it. A traceback in its log is a failure,
    unless the test's own application hooks raise.

    :param under: a command that runs the node, such as `prlimit` with its options.
    """
    config = directory / "wsmesh.toml"
    config.write_text(toml)
    log = directory / "node.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*under, sys.executable, "-m", "wsmesh", "--config", str(config), *words],
            stdout=sink, stderr=sink, cwd=directory, env=clean_environment(),
        )
    try:
        node = NodeProcess(process=process, port=_listening_port(process, log), log=log)
        _await_ready(node)
        yield node
        if process.poll() is None:
            assert node.stop() == 0, node.said()
        assert may_log_tracebacks or "Traceback" not in node.said(), node.said()
    finally:
        process.kill()
        process.wait()


def _listening_port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError(f"the node did not start: {log.read_text()}")


def _await_ready(node: NodeProcess) -> None:
    deadline = time.monotonic() + START_WITHIN
    while (answer := node.get("/health/ready"))[0] != 200:
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
