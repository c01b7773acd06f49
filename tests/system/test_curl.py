"""curl, as many backends and operators use it, against a real node."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.node_process import API_KEY, NodeProcess, running_node

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def curl(node: NodeProcess, path: str, *words: str, body: bytes) -> tuple[str, str]:
    """Return the answer's body and what curl said about the exchange."""
    command = [
        "curl", "--silent", "--verbose", "--noproxy", "*", "--max-time", "10",
        "--expect100-timeout", "8", "--header", "Expect: 100-continue", "--data-binary", "@-",
        *words, node.http_url + path,
    ]
    done = subprocess.run(command, input=body, capture_output=True, timeout=20, check=False)
    return done.stdout.decode(), done.stderr.decode()


def test_curl_sends_a_body_when_it_is_told_to_continue(tmp_path: Path) -> None:
    body = json.dumps({"channel": "c", "data": "x" * 100_000}).encode()
    with running_node(tmp_path) as node:
        answer, talk = curl(node, "/api/publish", "--header", f"X-API-Key: {API_KEY}", body=body)

        assert "HTTP/1.1 100 Continue" in talk
        assert json.loads(answer)["result"]["offset"] == 1


def test_curl_keeps_a_body_that_is_refused(tmp_path: Path) -> None:
    with running_node(tmp_path) as node:
        for path, words, status in (
            ("/api/publish", ("--header", "X-API-Key: wrong"), 401),
            ("/nothing", (), 404),
            ("/metrics", (), 405),
        ):
            answer, talk = curl(node, path, *words, body=b"x" * 100_000)

            assert json.loads(answer)["error"]["code"] == status
            assert "100 Continue" not in talk
            assert "upload completely sent" not in talk
        assert "handshake_timeout" not in node.said()
