"""Logs: one line each, never blocking, never forged, bounded when something repeats."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from wsmesh import logs
from wsmesh.config.sections import LogSection
from wsmesh.errors import ConfigError


@contextmanager
def logging_to(path: Path, **section: Any) -> Generator[logs.Sink]:
    with logs.open_logs(LogSection(file=str(path), format="json", **section)) as sink:
        yield sink


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_one_json_object_whatever_a_client_sends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    evil = 'x\r\n{"event":"forged"}\x1b[31m\x00\ud800'
    with logging_to(path):
        structlog.get_logger().info("client.connected", user=evil, long="y" * 5000)
    (line,) = lines(path)
    assert line["event"] == "client.connected"
    assert len(line["long"]) < 300
    assert b"\x1b" not in path.read_bytes()


def test_the_console_form_escapes_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with logs.open_logs(LogSection(file=str(path), format="console")):
        structlog.get_logger().info("client.connected", user="a\r\nforged\x1b[31m")
    text = path.read_text()
    assert text.count("\n") == 1
    assert "\x1b[31m" not in text.split("user")[1]


def test_less_severe_lines_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with logging_to(path, level="warning"):
        structlog.get_logger().info("a")
        structlog.get_logger().warning("b")
    assert [line["event"] for line in lines(path)] == ["b"]


def test_a_full_disk_drops_and_counts_lines() -> None:
    with logging_to(Path("/dev/full")) as sink:
        for _ in range(5):
            structlog.get_logger().info("a")
    assert sink.dropped == 5


def test_a_sink_that_nobody_reads_never_blocks_the_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(logs, "CLOSE_WITHIN", 0.05)
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    try:
        with logging_to(Path(f"/proc/self/fd/{writer}"), queue_lines=100) as sink:
            log = structlog.get_logger()
            for number in range(size // 100 + 2000):
                log.info("a", number=number, padding="x" * 200)
            assert sink.dropped > 100
            assert logs.dropped_lines() == sink.dropped
            while os.read(reader, 65536):
                if sink._lines.empty():
                    break
    finally:
        os.close(writer)
        os.close(reader)


def test_a_repeating_warning_is_bounded_and_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    path = tmp_path / "log"
    with logging_to(path):
        log = structlog.get_logger()
        for _ in range(1000):
            log.warning("handshake.refused")
        now[0] += 1
        log.warning("handshake.refused")
    written = lines(path)
    assert len(written) == logs.PER_SECOND + 1
    assert written[-1]["suppressed"] == 1000 - logs.PER_SECOND


def test_a_rotated_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with logging_to(path):
        structlog.get_logger().info("before")
        until = time.monotonic() + 5
        while not path.read_text() and time.monotonic() < until:
            os.sched_yield()
        path.rename(tmp_path / "log.1")
        logs.reopen()
        structlog.get_logger().info("after")
    assert [line["event"] for line in lines(path)] == ["after"]
    assert [line["event"] for line in lines(tmp_path / "log.1")] == ["before"]


def test_a_file_that_cannot_be_opened_is_a_configuration_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot open"), logging_to(tmp_path / "no" / "log"):
        pass
