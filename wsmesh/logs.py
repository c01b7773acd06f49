"""Structured logs: one JSON object a line, handed to a thread so that no sink can block the loop.

The only module that configures structlog. Why a thread: docs/decisions/log-thread.md.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import structlog
from attrs import define, field

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


@define(eq=False)
class Sink:
    """A bounded queue of lines and the thread that writes them.

    :ivar dropped: lines that did not fit or could not be written.
    """

    path: str
    _lines: queue.Queue[bytes | None]
    _descriptor: int
    dropped: int = 0
    _reopen: bool = field(init=False, default=False)
    _thread: threading.Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue a line; a full queue drops and counts it."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def reopen(self) -> None:
        """Open the file again, after it was rotated."""
        self._reopen = True

    def close(self) -> None:
        """Write what is queued, within `CLOSE_WITHIN`."""
        with suppress(queue.Full):
            self._lines.put(None, timeout=CLOSE_WITHIN)
        self._thread.join(CLOSE_WITHIN)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                if self._reopen and self.path:
                    self._reopen = False
                    os.close(self._descriptor)
                    self._descriptor = _open(self.path)
                view = memoryview(line)
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                self.dropped += 1


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


_current: list[Sink] = []


def reopen() -> None:
    """Reopen the log file of the running process, if it writes one."""
    for sink in _current:
        sink.reopen()


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
        longest = LONGEST * 10 if key == "exception" else LONGEST
        if isinstance(value, str) and len(value) > longest:
            event[key] = value[:longest] + "..."
    return event


def _json(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    try:
        return _encode(dict(event)) + b"\n"
    except (TypeError, ValueError, UnicodeEncodeError):
        # A lone surrogate, for example, which no encoding of text can hold.
        plain = {key: str(value).encode("ascii", "backslashreplace").decode() for key, value in
                 event.items()}
        return _encode(plain) + b"\n"


_render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _console(logger: Any, method: str, event: MutableMapping[str, Any]) -> bytes:
    plain = {
        key: ascii(value)[1:-1]
        if isinstance(value, str) and key != "exception" and not value.isprintable()
        else value
        for key, value in event.items()
    }
    return (str(_render(logger, method, plain)) + "\n").encode(errors="backslashreplace")
