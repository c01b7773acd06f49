"""The benchmarks can be listed, and their generator counts what real servers deliver."""

from __future__ import annotations

import base64
import os

import click
import pytest
from click.testing import CliRunner

from bench.__main__ import benchmarks, main
from bench.echo import DATA
from bench.idle_memory import theil_sen
from bench.lab.load import open_load
from bench.lab.process import free_port
from bench.lab.report import Report, Rounds
from bench.lab.servers import open_python_peer

CORE = min(os.sched_getaffinity(0))
NEEDED = {"websockets_echo": ("websockets", "uvloop")}


def test_every_benchmark_is_listed_with_a_line_about_it() -> None:
    listed = CliRunner().invoke(main, []).output

    assert {"fanout", "echo", "handshake", "idle_memory", "scaling"} <= set(benchmarks())
    for name, text in benchmarks().items():
        assert text
        assert f"{name:<16} {text}" in listed


def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    refused = CliRunner().invoke(main, ["fan"])

    assert refused.exit_code == 2
    assert "fanout" in refused.output


def test_the_fanout_generator_counts_every_delivery_of_the_raw_loop() -> None:
    frame = b'{"push":{"channel":"news","pub":{"data":"xx"}}}'
    with (
        open_python_peer("raw_fanout", core=CORE, dialect="raw") as server,
        open_load("raw", port=server.port, server_pid=server.pid, dialect="raw", core=CORE) as load,
    ):
        load.order("open", count=1)
        load.order("open", count=20)
        order = b"F" + len(frame).to_bytes(4, "big") + frame
        load.order("tell", content=base64.b64encode(order).decode())
        checked = load.order("check_fanout", channel="news", data="xx").result
        measured = load.order(
            "fanout", channel="news", data="xx", subscribers=20, messages=50, window=4, rest=0.0
        )

    assert checked == base64.b64encode(frame).decode()
    assert measured.count == 20 * 50
    assert measured.server_cpu > 0


@pytest.mark.parametrize("peer", ["websockets_echo", "trio_websocket_echo"])
def test_the_exchange_generator_works_with_each_reference(peer: str) -> None:
    for needed in NEEDED.get(peer, ()):
        pytest.importorskip(needed, reason="comes with the extra `bench`")
    with (
        open_python_peer(peer, core=CORE) as server,
        open_load(peer, port=server.port, server_pid=server.pid, dialect="centrifugo",
                  core=CORE) as load,
    ):
        load.order("open", count=5, channel="echo-{i}")
        load.order("check", data=DATA)
        load.order("prepare", data=DATA)
        measured = load.order("exchange", seconds=0.1)
        left = load.order("close").count

    assert measured.count > 5
    assert left == 0


def test_a_fault_of_the_load_process_ends_the_benchmark_with_its_text() -> None:
    nobody = free_port()
    with (
        open_load("raw", port=nobody, server_pid=os.getpid(), dialect="raw", core=CORE) as load,
        pytest.raises(click.ClickException, match=r"raw: open: LoadError: .*Connection refused"),
    ):
        load.order("open", count=1)


@pytest.mark.parametrize(("cost", "word", "status"), [(1.3, "PASS", 0), (1.31, "FAIL", 1)])
def test_a_ratio_at_the_target_passes_and_past_it_fails(
    cost: float, word: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report("fanout")
    report.compare(Rounds("node", [9, cost, 0], "us"), Rounds("raw", [1], "us"), at_most=1.3)

    with pytest.raises(SystemExit) as ended:
        report.finish()

    assert ended.value.code == status
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"fanout: {word}: node {cost:.2f}")


def test_a_failure_in_doubt_is_inconclusive() -> None:
    report = Report("handshake")
    report.claim("P99", holds=False)
    report.doubt("the generator was late")

    with pytest.raises(SystemExit) as ended:
        report.finish()

    assert ended.value.code == 3


def test_the_slope_ignores_an_outlier() -> None:
    assert theil_sen([10, 12, 14, 90, 18]) == 2
