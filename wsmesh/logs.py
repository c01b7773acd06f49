"""Structured logs: one JSON object a line, handed to a thread so that no sink can block the loop.

The only module that configures structlog. Why a thread: docs/decisions/log-thread.md.
"""

from __future__ import annotations

import logging
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import structlog
from attrs import define, field

from wsmesh import reporting
from wsmesh.config.sections import LogSection
from wsmesh.errors import ConfigError

LONGEST = 256
"""Characters kept of a value; tracebacks have ten times as many."""

PER_SECOND = 10
"""Lines of one event and level `warning` or above that are written per second."""

CLOSE_WITHIN = 2.0
"""Seconds a sink has at the end to take what is queued."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_encode = msgspec.json.Encoder(enc_hook=str).encode

_CONTROLS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What JSON does not escape, but terminals obey: DEL, C1, line ends and writing directions."""


@define(eq=False)
class Sink:
    """A bounded queue of lines and the thread that writes them."""

    path: str
    _lines: queue.Queue[bytes | None]
    _descriptor: int
    _unqueued: int = field(init=False, default=0)
    """Counted by the caller's thread, the other by the writer's: += is not atomic."""
    _unwritten: int = field(init=False, default=0)
    _is_torn: bool = field(init=False, default=False)
    """The last line that was written has no end."""
    _reopen: bool = field(init=False, default=False)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that did not fit or could not be written."""
        return self._unqueued + self._unwritten

    def put(self, line: bytes) -> None:
        """Queue a line; a full queue drops and counts it."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._unqueued += 1

    def reopen(self) -> None:
        """Open the file again before the next line, after it was rotated."""
        self._reopen = bool(self.path)

    def close(self) -> None:
        """Write what is queued, within `CLOSE_WITHIN`."""
        until = time.perf_counter() + CLOSE_WITHIN
        with suppress(queue.Full):
            self._lines.put(None, timeout=CLOSE_WITHIN)
        self._thread.join(max(0.0, until - time.perf_counter()))
        if self.path and not self._thread.is_alive():
            os.close(self._descriptor)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            if self._reopen:
                self._reopen = False
                self._open_again()
            self._write(line)

    def _write(self, line: bytes) -> None:
        # A disk that fills up takes half a line; the first one after that must not continue it.
        rest = b"\n" + line if self._is_torn else line
        try:
            while rest:
                written = os.write(self._descriptor, rest)
                self._is_torn = written > 0 and rest[written - 1] != ord("\n")
                rest = rest[written:]
        except OSError:
            self._unwritten += 1

    def _open_again(self) -> None:
        """Put the new file in the place of the old one, which goes on if there is none."""
        try:
            fresh = _open(self.path)
        except OSError as error:
            fault = {"event": "log.not_reopened", "level": "error", "error": str(error)}
            self._write(_encode(fault) + b"\n")
            return
        # The number stays: closed first, it could be a client's socket by the time of a write.
        os.dup2(fresh, self._descriptor, inheritable=False)
        os.close(fresh)
        self._is_torn = False


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


_current: list[Sink] = []


def reopen() -> None:
    """Reopen the log file of the running process, if it writes one."""
    for sink in _current:
        sink.reopen()


def change_level(level: str) -> None:
    """Write lines of `level` and above from now on, in the running process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]))


def dropped_lines() -> int:
    """Return how many lines the sink of this process did not take."""
    return sum(sink.dropped for sink in _current)


@contextmanager
def open_logs(section: LogSection) -> Generator[Sink]:
    """Log as `section` says while the block runs.

    :raises ConfigError: the file cannot be opened.
    """
    try:
        descriptor = _open(section.file) if section.file else sys.stderr.fileno()
    except OSError as error:
        fault = f"file: cannot open {section.file!r}: {error.strerror}"
        raise ConfigError("log", [fault]) from error
    try:
        report = reporting.reporter(section)
    except ConfigError:
        if section.file:
            os.close(descriptor)
        raise
    sink = Sink(section.file, queue.Queue(section.queue_lines), descriptor)
    _current.append(sink)
    form = section.format
    if form == "auto":
        form = "console" if not section.file and sys.stderr.isatty() else "json"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _Suppress(),
            *([] if report is None else [report]),
            structlog.processors.format_exc_info,
            _truncated,
            _json if form == "json" else _console,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[section.level]),
        logger_factory=lambda *args: _QueueLogger(sink),
        cache_logger_on_first_use=False,
    )
    try:
        yield sink
    finally:
        if report is not None:
            reporting.close()
        _current.remove(sink)
        sink.close()
        structlog.reset_defaults()


class _QueueLogger:
    """What structlog hands finished lines to."""

    def __init__(self, sink: Sink) -> None:
        self._put = sink.put

    def msg(self, line: bytes) -> None:
        self._put(line)

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


class _Suppress:
    """Drops lines of an event that repeats too fast, and says later how many."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if logging.getLevelName(event["level"].upper()) < logging.WARNING:
            return event
        name = str(event["event"])
        second = int(time.perf_counter())
        began, count = self._seen.get(name, (second, 0))
        if began != second:
            if count > PER_SECOND:
                event["suppressed"] = count - PER_SECOND
            began, count = second, 0
        if len(self._seen) > 1000:
            self._seen.clear()
        self._seen[name] = (began, count + 1)
        if count >= PER_SECOND:
            raise structlog.DropEvent
        return event


def _truncated(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key, value in event.items():
        event[key] = _bounded(value, LONGEST * 10 if key == "exception" else LONGEST)
    return event


def _bounded(value: object, longest: int) -> object:
    """Return `value`, or the beginning of its text when that is longer."""
    if value is None or isinstance(value, (bool, float)):
        return value
    try:
        text = value if isinstance(value, str) else str(value)
    except (ValueError, RecursionError):  # an integer too long, a list in a list in a list ...
        return f"<{type(value).__name__}>"
    return value if len(text) <= longest else text[:longest] + "..."


def _json(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        line = _encode(dict(event))
    except (TypeError, ValueError, OverflowError, RecursionError):
        # A lone surrogate, for example, which no encoding of text can hold.
        plain = {key: str(value).encode("ascii", "backslashreplace").decode() for key, value in
                 event.items()}
        line = _encode(plain)
    if not line.isascii() or b"\x7f" in line:
        line = _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", line.decode()).encode()
    return line + b"\n"


_render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _console(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    plain = {
        key: ascii(value)[1:-1]
        if isinstance(value, str) and key != "exception" and not value.isprintable()
        else value
        for key, value in event.items()
    }
    return (str(_render(logger, method, plain)) + "\n").encode(errors="backslashreplace")
