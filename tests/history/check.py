"""Holds a run to its promises: `check(logs) -> Verdict`. `python -m tests.history DIR` prints it.

Invariants I1 to I14 are checked as far as the log has evidence; `Verdict.looked_at` says how far.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from tests.history.agreement import check_agreement
from tests.history.continuity import check_continuity
from tests.history.events import Event, decoder
from tests.history.found import Found, Verdict
from tests.history.intake import BadLog, History
from tests.history.limits import NANO, Limits
from tests.history.loss import check_loss
from tests.history.order import check_order
from tests.history.owners import check_owners
from tests.history.service import (
    check_conservation,
    check_permission,
    check_return,
    check_silent_faults,
    count_sometimes,
)
from tests.history.stream import Stream

_PIECE_BYTES = 4 * 1024 * 1024

#: A phase without faults that is shorter, seconds, need not have an acknowledged publish.
_SHORT_PHASE = 2.0


def check(logs: Iterable[Path], limits: Limits | None = None) -> Verdict:
    """Judge the run that these files tell of: log files, or directories with `*.jsonl`.

    O(n log n) in the number of events.

    :raises BadLog: a file is not a log, or they contradict each other as no run can.
    """
    history = History()
    for path in _files(logs):
        history.begin(path.stem)
        for event in read_log(path):
            history.add(event)
    return judge(history, limits or Limits())


def check_events(
    processes: Mapping[str, Iterable[Event]], limits: Limits | None = None
) -> Verdict:
    """Judge a run in memory: process -> its events. Otherwise as `check`."""
    history = History()
    for name, events in processes.items():
        history.begin(name)
        for event in events:
            history.add(event)
    return judge(history, limits or Limits())


def _files(logs: Iterable[Path]) -> Iterator[Path]:
    names: dict[str, Path] = {}
    for log in logs:
        for path in sorted(log.glob("*.jsonl")) if log.is_dir() else [log]:
            if names.setdefault(path.stem, path) != path:
                raise BadLog(f"{names[path.stem]} and {path} have the same name")
            yield path


def read_log(path: Path) -> Iterator[Event]:
    """Yield the events of a file; half a line at its end, of a killed process, is left out.

    :raises BadLog: another line is not an event.
    """
    with path.open("rb") as file:
        rest = b""
        number = 0
        while piece := file.read(_PIECE_BYTES):
            whole, newline, rest = (rest + piece).rpartition(b"\n")
            try:
                events: list[Event] = decoder.decode_lines(whole) if newline else []
            except msgspec.DecodeError:
                raise _bad_line(path, whole, number) from None
            number += len(events)
            yield from events


def _bad_line(path: Path, lines: bytes, number: int) -> BadLog:
    for line in lines.split(b"\n"):
        number += 1
        try:
            decoder.decode(line)
        except msgspec.DecodeError as fault:
            return BadLog(f"{path}, event {number}: {fault}: {line[:200]!r}")
    return BadLog(f"{path}: not a log")


def judge(history: History, limits: Limits) -> Verdict:
    """Check what was taken in."""
    found = Found()
    for channel in history.channels.values():
        stream = Stream(history, channel)
        check_agreement(stream, limits, found)
        check_continuity(stream, found)
        check_order(stream, found)
        check_loss(stream, limits, found)
        check_return(stream, limits, found)
        check_permission(stream, limits, found)
    check_owners(history, found)
    check_silent_faults(history, limits, found)
    check_conservation(history, found)
    count_sometimes(history, found)
    totals = {
        "publishes": sum(len(channel.invoked) for channel in history.channels.values()),
        "acknowledged": sum(len(channel.acked) for channel in history.channels.values()),
        "deliveries": history.delivered,
        "clients": len(history.clients),
        "channels": len(history.channels),
        "faults": sum(event.op == "start" for event in history.faults),
    }
    vacuous = [f"no {name}" for name in ("acknowledged", "deliveries") if not totals[name]]
    vacuous += [
        f"{name} never happened" for name in sorted(limits.demand) if not found.sometimes[name]
    ]
    unknown = found.gaps + _torn(history, limits) + _silent_phases(history)
    outcome = "valid"
    if found.counts:
        outcome = "invalid"
    elif vacuous:
        outcome = "vacuous"
    elif unknown:
        outcome = "unknown"
    return Verdict(
        outcome=outcome, violations=found.violations, counts=found.counts,
        looked_at=found.looked_at, sometimes=found.sometimes, reasons=vacuous + unknown,
        lost=found.lost, totals=totals,
        sources={
            id(event): history.process_of(event)
            for violation in found.violations for event in violation.events
        },
    )


def _torn(history: History, limits: Limits) -> list[str]:
    return [
        f"the log of {process.name} has no end"
        for process in history.processes.values()
        if not process.is_complete and process.name not in limits.killed
    ]


def _silent_phases(history: History) -> list[str]:
    """Name the phases between faults in which nothing was acknowledged."""
    windows = history.fault_windows()
    acked = sorted(t for channel in history.channels.values() for t in channel.acked_at)
    if not windows or not acked:
        return []
    silent: list[str] = []
    healed: int | None = 0
    for start, heal in windows:
        if healed is None:
            return silent
        is_long = healed == 0 or start.t - healed > _SHORT_PHASE * NANO
        if is_long and not any(healed < t <= start.t for t in acked):
            silent.append(f"nothing was acknowledged in the phase before {start.fault}")
        healed = None if heal is None else max(healed, heal.t)
    if healed is not None and acked[-1] <= healed:
        silent.append("nothing was acknowledged after the last fault had healed")
    return silent
