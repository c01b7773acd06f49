"""Logs: one line each, never blocking, never forged, bounded when something repeats."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Generator
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


def wait_until(claim: Callable[[], object]) -> None:
    """Wait for the writing thread."""
    deadline = time.monotonic() + 5
    while not claim():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_line_is_one_json_object_whatever_a_client_sends(tmp_path: Path) -> None:
    path = tmp_path / "log"
    evil = 'x\r\n{"event":"forged"}\x1b[31m\x00\ud800'
    with logging_to(path):
        structlog.get_logger().info("client.connected", user=evil, long="y" * 5000)
    (line,) = lines(path)
    assert line["event"] == "client.connected"
    assert len(line["long"]) < 300
    assert b"\x1b" not in path.read_bytes()


def test_what_terminals_obey_is_escaped_and_means_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log"
    obeyed = "\x1b[2J \x9b2J \x7f \x85 \u2028 \u202e \u2066 \x00 \r\n"
    kept = "gr\xfc\xdfe \N{WAVING HAND SIGN}"
    with logging_to(path):
        structlog.get_logger().info("client.connected", user=obeyed + kept)
    text = path.read_text()
    assert kept in text
    assert set(obeyed) & set(text) <= set(" [2J\n")
    assert lines(path)[0]["user"] == obeyed + kept


def test_no_value_makes_a_line_long_or_fails_the_caller(tmp_path: Path) -> None:
    path = tmp_path / "log"
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    values = ["y" * 5000, ["y"] * 5000, ValueError("y" * 5000), 10**400, 10**9999, circle, deep,
              b"\xff" * 5000, {"y" * 5000: 1}, 2**64, "\ud800", ["\ud800"]]
    with logging_to(path):
        for value in values:
            structlog.get_logger().info("client.connected", value=value, kept=True)
    written = lines(path)
    assert len(written) == len(values)
    assert {line["event"] for line in written} == {"client.connected"}
    assert max(map(len, path.read_text().splitlines())) < 2 * logs.LONGEST


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


def test_the_level_of_a_running_process_can_change(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with logging_to(path, level="warning"):
        log = structlog.get_logger("early")
        log.info("a")
        logs.change_level("debug")
        log.debug("b")
        structlog.get_logger("late").info("c")
        logs.change_level("error")
        log.warning("d")
    assert [line["event"] for line in lines(path)] == ["b", "c"]


def test_a_full_disk_drops_and_counts_lines() -> None:
    with logging_to(Path("/dev/full")) as sink:
        for _ in range(5):
            structlog.get_logger().info("a")
    assert sink.dropped == 5


def test_half_a_line_does_not_spoil_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    capacity = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 16384)
    long = {f"key{number}": "x" * logs.LONGEST for number in range(capacity * 5 // 8 // 270)}
    with open(writer, "w") as sink_of_errors, open(reader, "rb", buffering=0) as read:
        monkeypatch.setattr(sys, "stderr", sink_of_errors)
        with logs.open_logs(LogSection(format="json")) as sink:
            log = structlog.get_logger()
            log.info("whole", **long)
            log.info("torn", **long)
            wait_until(lambda: sink.dropped == 1)
            text = read.read(capacity)
            log.info("next")
        sink_of_errors.close()
        text += read.read()
    whole, half, following = text.splitlines()
    assert json.loads(whole)["event"] == "whole"
    assert 0 < len(half) < len(whole)
    assert json.loads(following)["event"] == "next"


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
        wait_until(path.read_text)
        path.rename(tmp_path / "log.1")
        logs.reopen()
        structlog.get_logger().info("after")
    assert [line["event"] for line in lines(path)] == ["after"]
    assert [line["event"] for line in lines(tmp_path / "log.1")] == ["before"]


def test_a_file_that_cannot_be_opened_again_goes_on_as_it_was(tmp_path: Path) -> None:
    directory, moved = tmp_path / "logs", tmp_path / "moved"
    directory.mkdir()
    path = directory / "log"
    with logging_to(path) as sink:
        structlog.get_logger().info("before")
        wait_until(path.read_text)
        directory.rename(moved)
        logs.reopen()
        structlog.get_logger().info("meanwhile")
        wait_until(lambda: (moved / "log").read_text().count("\n") == 3)
        directory.mkdir()
        logs.reopen()
        structlog.get_logger().info("after")
    events = [line["event"] for line in lines(moved / "log")]
    assert events == ["before", "log.not_reopened", "meanwhile"]
    assert [line["event"] for line in lines(path)] == ["after"]
    assert sink.dropped == 0


def descriptors_of(path: Path) -> list[int]:
    numbers = map(int, os.listdir("/proc/self/fd"))
    return [each for each in numbers if os.path.realpath(f"/proc/self/fd/{each}") == str(path)]


def test_its_descriptor_is_closed_at_the_end_and_kept_over_rotations(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with logging_to(path):
        for _ in range(3):
            logs.reopen()
            structlog.get_logger().info("a")
        wait_until(lambda: path.read_text().count("\n") == 3)
        (descriptor,) = descriptors_of(path)
        assert not os.get_inheritable(descriptor)
    assert descriptors_of(path) == []


def test_a_file_that_cannot_be_opened_is_a_configuration_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot open"), logging_to(tmp_path / "no" / "log"):
        pass
