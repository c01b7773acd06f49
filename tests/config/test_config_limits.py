"""Limits that are said in words: a byte rate is a size, or unlimited; never 0."""

from __future__ import annotations

import pytest
from attrs import evolve

from wsmesh.config.checks import check
from wsmesh.config.limits import LimitsSection
from wsmesh.config.sections import Config
from wsmesh.config.strategies import installed
from wsmesh.config.structure import structure
from wsmesh.config.values import ByteSize

EXPECTED = 'expected a size such as "64KiB", at least 8KiB, or "unlimited", found '


def limits_of(**options: object) -> tuple[LimitsSection, list[str]]:
    """Return `[limits]` with these options as TOML gives them, and its faults."""
    section, faults = structure(options, LimitsSection, str)
    return section, [f"{fault.path}: {fault.text}" for fault in faults]


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("256KiB", 262_144), ("8KiB", 8192), ("1MB", 1_000_000), ("unlimited", None)],
)
def test_a_byte_rate_is_a_size_or_unlimited(text: str, per_second: int | None) -> None:
    section, faults = limits_of(byte_rate=text)
    assert faults == []
    assert section.bytes_per_second == per_second


@pytest.mark.parametrize("text", ["0", "0B", "8191B", "", "Unlimited", "none", "-1B", "1KiB/s"])
def test_nothing_else_lifts_it(text: str) -> None:
    section, faults = limits_of(byte_rate=text)
    assert faults == [f'byte_rate: {EXPECTED}"{text}"']
    assert section.bytes_per_second == 262_144


def test_one_message_fits_whatever_the_burst() -> None:
    small = LimitsSection(byte_burst=ByteSize(128), message_size=ByteSize(1000), fragments=10)
    assert small.bytes_at_once == 1000 + 10 * 14
    assert evolve(small, byte_burst=ByteSize(5000)).bytes_at_once == 5000


@pytest.mark.parametrize(("total", "faulty"), [(65_535, True), (65_536, False)])
def test_the_budget_holds_at_least_one_full_queue(total: int, faulty: bool) -> None:
    limits = LimitsSection(send_queue_bytes=ByteSize(65_536), send_queue_total=ByteSize(total))
    faults = check(evolve(Config(), limits=limits), installed())
    assert [fault.path for fault in faults] == ["limits.send_queue_total"] * faulty
    assert all(fault.rests_on(["limits.send_queue_bytes"]) for fault in faults)
