"""Writes the log of one process: buffered, complete at the end and on SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

from attrs import define, field

from tests.history.events import End, Event, encoder

#: Events are written in pieces of this size, or when the last piece is this old.
_PIECE_BYTES = 256 * 1024
_PIECE_NS = 500_000_000


@define(eq=False)
class Recorder:
    """Notes events with the time of the call; for the tasks of one thread.

    A process that is killed loses what it noted in the last half second before its last event.

    :param clock: nanoseconds; CLOCK_MONOTONIC, which the processes of one host share.
    """

    path: Path
    clock: Callable[[], int] = time.monotonic_ns
    _descriptor: int = field(init=False)
    _buffer: bytearray = field(init=False, factory=bytearray)
    _written_at: int = field(init=False)
    _is_writing: bool = field(init=False, default=False)
    _afterwards: Callable[[], None] | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self._descriptor = os.open(self.path, flags, 0o644)
        self._written_at = self.clock()

    def note(self, event: Event) -> None:
        """Note an event; its `t` is set to now."""
        now = event.t = self.clock()
        self._buffer += encoder.encode(event) + b"\n"
        if len(self._buffer) >= _PIECE_BYTES or now - self._written_at >= _PIECE_NS:
            self.flush()

    def flush(self) -> None:
        """Hand to the system what was noted so far."""
        if self._is_writing:  # a signal handler interrupted the lines below; they go on after it
            return
        self._is_writing = True
        try:
            self._written_at = self.clock()
            while self._buffer:
                # A handler may have noted more meanwhile: only what was written is removed.
                del self._buffer[: os.write(self._descriptor, self._buffer[:_PIECE_BYTES])]
        finally:
            self._is_writing = False
        if (late := self._afterwards) is not None:
            self._afterwards = None
            late()

    def when_written(self, act: Callable[[], None]) -> None:
        """Call `act` at once, or after the piece that a signal handler has interrupted."""
        if self._is_writing:
            self._afterwards = act
        else:
            act()

    def close(self) -> None:
        """Write the rest and the `end` line."""
        self.note(End())
        self.flush()
        os.close(self._descriptor)


@contextmanager
def open_recorder(path: Path) -> Iterator[Recorder]:
    """Record until the end of the context, or until SIGTERM ends the process.

    A handler that was there before is called after the log was written, and decides what becomes
    of the process; without one the process ends by the signal, its log complete.
    """
    recorder = Recorder(path)
    try:
        with _written_on_sigterm(recorder):
            yield recorder
    finally:
        recorder.close()


@contextmanager
def _written_on_sigterm(recorder: Recorder) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        recorder.when_written(partial(end, number, frame))

    def end(number: int, frame: FrameType | None) -> None:
        if callable(before):
            recorder.flush()
            before(number, frame)
        elif before != signal.SIG_IGN:
            recorder.close()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
