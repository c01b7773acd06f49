"""Durations and sizes: what is read, what is refused, and that what is shown reads back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsmesh.config.units import (
    LARGEST_SIZE,
    LONGEST_DURATION,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5.0), ("250ms", 0.25), ("1m30s", 90.0), ("2h", 7200.0), ("7d", 604_800.0),
        ("1.5h", 5400.0), ("100us", 0.0001), ("0s", 0.0), ("1d2h3m4s5ms", 93_784.005),
        ("0.1s200ms", 0.3),
    ],
)
def test_a_duration_is_the_sum_of_its_units(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "5 s", " 5s", "5S", "-5s", "+5s", "5s1m", "5s5s", "1e3s", ".5s", "5.s",
     "\u0665s", "5s\n", "nan", "inf", "101000d", "1" * 70 + "s"],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"not a duration|longer than"):
        parse_duration(text)


def test_a_hundred_years_is_the_longest_duration():
    assert parse_duration("36525d") == LONGEST_DURATION
    with pytest.raises(ValueError, match="100 years"):
        parse_duration("36525d1us")


@given(st.floats(0, LONGEST_DURATION, allow_subnormal=False))
@example(1e-7)
@example(0.1 + 0.2)
@example(LONGEST_DURATION)
def test_every_duration_reads_back_exactly(seconds):
    shown = format_duration(seconds)
    if len(shown) <= 64:
        assert parse_duration(shown) == seconds
    else:
        assert seconds < 1e-40


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (25, "25s"), (90, "90s"), (120, "2m"), (3600, "1h"), (0.25, "250ms"),
     (2_592_000, "30d"), (0.000_05, "50us"), (1.5, "1500ms")],
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2**31), ("10MB", 10_000_000),
     ("1kB", 1000), ("1KB", 1000), ("1GB", 10**9), ("1.5KiB", 1536), ("0B", 0)],
)
def test_a_size_is_its_number_times_its_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "64", "KiB", "64 KiB", "64kib", "-1B", "1.5B", "1e3B", "9999999999GiB", "1TiB",
             "1B1B", "1B\n"],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="not a"):
        parse_size(text)


@given(st.integers(0, LARGEST_SIZE))
@example(64 * 1024)
@example(10_000_000)
@example(LARGEST_SIZE)
def test_every_size_reads_back_exactly(size):
    assert parse_size(format_size(size)) == size
