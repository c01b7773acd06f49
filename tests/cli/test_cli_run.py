"""`python -m wsmesh` runs a node: real processes, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def environment() -> dict[str, str]:
    return {name: text for name, text in os.environ.items() if not name.startswith("WSMESH_")}


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A node that accepts connections, and what it said until then."""
    with subprocess.Popen(
        [sys.executable, "-m", "wsmesh", *words], stderr=subprocess.PIPE, text=True,
        env=environment(),
    ) as process:
        try:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if "listening on" in line:
                    break
            yield process, said
        finally:
            process.kill()


def ending_of(*words: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-m", "wsmesh", *words], capture_output=True, text=True, timeout=30,
        env=environment(), check=False,
    )
    return result.returncode, result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_says_where_it_listens_and_ends_with_0_when_told_to(number):
    with running("--port", "0") as (process, said):
        found = re.search(r"listening on 127\.0\.0\.1:(\d+)", said[-1])
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=5):
            pass
        process.send_signal(number)

        assert process.wait(timeout=20) == 0
    assert "DEVELOPMENT MODE" not in "".join(said)


def test_dev_mode_is_loud():
    with running("--dev", "--port", "0") as (_, said):
        assert "DEVELOPMENT MODE" in "".join(said)
        assert len([line for line in said if line.startswith("*****")]) == 2


def test_a_port_in_use_is_one_line_and_2():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, said = ending_of("--port", str(port))

    assert status == 2
    assert f"127.0.0.1:{port}" in said
    assert len(said.splitlines()) == 1


def test_a_hook_module_that_is_not_there_is_one_line_and_2(tmp_path):
    (tmp_path / "wsmesh.toml").write_text("app.module = 'no_such_module_here:app'")

    status, said = ending_of("--config", str(tmp_path / "wsmesh.toml"), "--port", "0")

    assert status == 2
    assert "no_such_module_here" in said
    assert "Traceback" not in said
