"""The benchmarks of Redis measure what they say: returns are real, and so are the delays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.cross_node import probing
from bench.lab.options import Lab
from bench.lab.report import Report
from bench.resubscribe import CHANNELS, OURS, THEIRS, one
from bench.servers.redis_listener import channels
from tests.servers.standalone import RedisServer

ROOT = Path(__file__).parents[2]
CORE = min(os.sched_getaffinity(0))


@pytest.fixture
def lab() -> Lab:
    return Lab(quick=True, rounds=1, server_core=CORE, load_core=CORE, report=Report("test"))


def run(*words: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )


@pytest.mark.parametrize("name", ["resubscribe", "cross_node", "fanout"])
def test_the_usage_line_of_a_benchmark_is_what_one_types(name: str) -> None:
    shown = run(name, "--help")

    assert shown.returncode == 0
    assert shown.stdout.splitlines()[0] == f"Usage: python -m bench {name} [OPTIONS]"


def test_a_wrong_option_names_the_command_and_is_a_usage_error() -> None:
    refused = run("resubscribe", "--channels", "none")

    assert refused.returncode == 2
    assert refused.stderr.startswith("Usage: python -m bench resubscribe [OPTIONS]\n")


def test_the_names_are_a_nodes_shard_channels_in_128_partitions() -> None:
    names = channels(2000)

    assert len(set(names)) == 2000
    assert len({name.partition(b"}")[0] for name in names}) == 128
    assert CHANNELS == 100_000


@pytest.mark.parametrize("client", [OURS, THEIRS])
def test_a_client_comes_back_to_every_channel_after_a_restart(lab: Lab, client: str) -> None:
    began = time.monotonic()
    back = one(lab, client, channels(3000))
    took = time.monotonic() - began

    assert 0 < back.since_connected < took
    assert -0.1 < back.since_up < took
    assert 1 <= back.commands < 3000 / 100
    assert 0 < back.cpu < took


def test_the_whole_benchmark_ends_with_both_clients_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    cores = ("--server-core", str(CORE), "--load-core", str(CORE))
    done = run("resubscribe", "--channels", "1000", "--rounds", "1", "--json", str(file), *cores)

    line = json.loads(file.read_text())
    assert line["benchmark"] == "resubscribe"
    assert line["arguments"][:2] == ["--channels", "1000"]
    for client in (OURS, THEIRS):
        assert line["figures"][f"{client}, commands, 1,000 channels"]["rounds"][0] >= 1
    assert done.returncode == (0 if line["verdict"] == "PASS" else 1)
    assert done.stdout.splitlines()[-1].startswith(f"resubscribe: {line['verdict']}: link ")


def test_the_probe_sees_a_redis_that_stops_answering(lab: Lab, redis_server: RedisServer) -> None:
    with probing(lab, redis_server.port) as quiet:
        time.sleep(0.5)
    with probing(lab, redis_server.port) as stopped:
        time.sleep(0.2)
        redis_server.stop()
        time.sleep(0.3)
        redis_server.cont()
        time.sleep(0.2)

    assert quiet["count"] > 20
    assert 0 < quiet["50"] <= quiet["99"] <= quiet["100"]
    # Commands that were due during the stop count too, however late they were sent.
    assert stopped["100"] > 250_000
    assert stopped["99"] > 100_000
