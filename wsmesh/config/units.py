"""Durations and sizes as text: `"1m30s"`, `"64KiB"`; parsing and the shortest exact form."""

from __future__ import annotations

import re
from decimal import Decimal

LONGEST_DURATION = 100 * 31_557_600.0
"""Seconds in 100 years: beyond it a duration is a slip of the pen, and timers overflow."""

LARGEST_SIZE = 2**63 - 1
"""What the kernel's own limits can express."""

_LONGEST_TEXT = 64
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
_SECONDS_IN = {
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
    "us": Decimal("0.000001"),
}
_DURATION = re.compile("".join(f"(?:{_NUMBER}{unit})?" for unit in _SECONDS_IN))
_BYTES_IN = {
    "B": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
}
_SIZE = re.compile(f"{_NUMBER}({'|'.join(_BYTES_IN)})")


def parse_duration(text: str) -> float:
    """Return the seconds that `text` says: numbers with units d, h, m, s, ms, us, largest first.

    Raises ValueError for anything else, and beyond 100 years.
    """
    match = _DURATION.fullmatch(text) if 0 < len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    # Decimal, so that "0.1s" + "200ms" is exactly what a reader expects, not 0.30000000000000004.
    total = sum(
        (Decimal(amount) * unit
         for amount, unit in zip(match.groups(), _SECONDS_IN.values(), strict=True) if amount),
        Decimal(0),
    )
    if total > Decimal(LONGEST_DURATION):
        raise ValueError(f"longer than 100 years: {text!r}")
    return float(total)


def format_duration(seconds: float) -> str:
    """Return the text that `parse_duration` reads back as exactly `seconds` (0 to 100 years)."""
    exact = Decimal(repr(float(seconds)))
    if exact == 0:
        return "0s"
    for unit, seconds_in_it in _SECONDS_IN.items():
        amount = exact / seconds_in_it
        if amount == amount.to_integral_value() and amount >= 1:
            return f"{int(amount)}{unit}"
    return f"{exact:f}s"


def parse_size(text: str) -> int:
    """Return the bytes that `text` says: a number and B, KiB, MiB, GiB, kB, MB or GB.

    Raises ValueError for anything else, and for parts of a byte.
    """
    match = _SIZE.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    if match is None:
        raise ValueError(f"not a size: {text!r}")
    total = Decimal(match[1]) * _BYTES_IN[match[2]]
    if total != total.to_integral_value() or total > LARGEST_SIZE:
        raise ValueError(f"not a whole number of bytes below 2**63: {text!r}")
    return int(total)


def format_size(size: int) -> str:
    """Return the text that `parse_size` reads back as exactly `size` (not negative)."""
    for unit in ("GiB", "MiB", "KiB", "GB", "MB"):
        if size and size % _BYTES_IN[unit] == 0:
            return f"{size // _BYTES_IN[unit]}{unit}"
    return f"{size}B"
