"""A recorder writes every event, in the order of the calls, whatever ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.history import events as ev
from tests.history.check import check, read_log
from tests.history.recorder import Recorder, open_recorder

ROOT = Path(__file__).parents[2]


def counted(path: Path) -> list[str]:
    return [event.mid for event in read_log(path) if isinstance(event, ev.PubFail)]


def test_what_was_noted_is_read_back_with_its_time(tmp_path):
    path = tmp_path / "log.jsonl"
    ticks = iter(range(100, 200))
    recorder = Recorder(path, clock=lambda: next(ticks))
    recorder.note(ev.Sub(cid="c", ch="é", seg=1, epoch="e", offset=3, reason="unknown_position"))
    recorder.note(ev.Counters(node="n", closes={"3005": 2}))
    recorder.close()

    sub, counters, end = read_log(path)
    assert isinstance(sub, ev.Sub)
    assert (sub.ch, sub.offset, sub.since, sub.recovered) == ("é", 3, -1, False)
    assert isinstance(counters, ev.Counters)
    assert counters.closes == {"3005": 2}
    assert isinstance(end, ev.End)
    assert sub.t < counters.t < end.t


def test_a_line_is_what_is_documented(tmp_path):
    path = tmp_path / "log.jsonl"
    recorder = Recorder(path, clock=lambda: 12)
    recorder.note(ev.Deliver(cid="c", ch="a", mid="p-1", crc=7, seg=1, epoch="e", offset=3))
    recorder.close()

    assert path.read_text() == (
        '{"e":"deliver","cid":"c","ch":"a","mid":"p-1","crc":7,"seg":1,"epoch":"e","offset":3,'
        '"t":12}\n{"e":"end","t":12}\n'
    )


def test_little_is_held_back(tmp_path):
    """What is older than half a second is written with the next event, and so are 256 KiB."""
    path = tmp_path / "log.jsonl"
    now = 0
    recorder = Recorder(path, clock=lambda: now)
    recorder.note(ev.PubFail(mid="p-1", ch="a"))
    assert counted(path) == []
    now = 500_000_000
    recorder.note(ev.PubFail(mid="p-2", ch="a"))
    assert counted(path) == ["p-1", "p-2"]
    for number in range(10_000):
        recorder.note(ev.PubFail(mid=f"q-{number}", ch="a"))
    assert 2 < len(counted(path)) < 10_002
    recorder.close()
    assert len(counted(path)) == 10_002


def test_a_log_is_not_overwritten(tmp_path):
    (tmp_path / "log.jsonl").write_text("")

    with pytest.raises(FileExistsError):
        Recorder(tmp_path / "log.jsonl")


def test_a_log_is_complete_when_the_context_ends_by_an_error(tmp_path):
    with pytest.raises(KeyError), open_recorder(tmp_path / "log.jsonl") as recorder:
        recorder.note(ev.PubFail(mid="p-1", ch="a"))
        raise KeyError

    assert counted(tmp_path / "log.jsonl") == ["p-1"]
    assert "no end" not in str(check([tmp_path]))


def test_another_thread_records_and_leaves_signals_alone(tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    def record() -> None:
        with open_recorder(tmp_path / "log.jsonl") as recorder:
            assert signal.getsignal(signal.SIGTERM) is before
            recorder.note(ev.PubFail(mid="p-1", ch="a"))

    thread = threading.Thread(target=record)
    thread.start()
    thread.join()

    assert counted(tmp_path / "log.jsonl") == ["p-1"]


SCRIPT = """
import itertools, signal, sys
from pathlib import Path
from tests.history import events as ev
from tests.history.recorder import open_recorder

{before}
with open_recorder(Path(sys.argv[1])) as recorder:
    print("ready", flush=True)
    for number in itertools.count(1):
        recorder.note(ev.PubFail(mid=f"p-{{number}}", ch="a"))
"""


@pytest.mark.parametrize(("before", "status"), [
    ("", -signal.SIGTERM),
    ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))", 5),
], ids=["nobody else listens", "a handler decides"])
def test_sigterm_loses_nothing_of_what_was_noted(tmp_path, before, status):
    for attempt in range(5):
        path = tmp_path / f"log{attempt}.jsonl"
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(before=before), str(path)],
            cwd=ROOT, stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        with process.stdout as output:
            output.readline()
        while path.stat().st_size < 1_000_000:
            assert process.poll() is None
        process.terminate()
        assert process.wait(10) == status

        numbers = counted(path)
        assert numbers == [f"p-{number}" for number in range(1, len(numbers) + 1)]
        assert path.read_bytes().splitlines()[-1].startswith(b'{"e":"end"')


def test_a_signal_handler_that_lets_the_process_go_on_does_so(tmp_path):
    path = tmp_path / "log.jsonl"
    heard = []
    own = signal.signal(signal.SIGTERM, lambda *_: heard.append(counted(path)))
    try:
        with open_recorder(path) as recorder:
            recorder.note(ev.PubFail(mid="p-1", ch="a"))
            os.kill(os.getpid(), signal.SIGTERM)
            recorder.note(ev.PubFail(mid="p-2", ch="a"))
    finally:
        signal.signal(signal.SIGTERM, own)

    assert heard == [["p-1"]]
    assert counted(path) == ["p-1", "p-2"]


def test_who_ignores_sigterm_goes_on_ignoring_it(tmp_path):
    own = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with open_recorder(tmp_path / "log.jsonl") as recorder:
            os.kill(os.getpid(), signal.SIGTERM)
            recorder.note(ev.PubFail(mid="p-1", ch="a"))
    finally:
        signal.signal(signal.SIGTERM, own)

    assert counted(tmp_path / "log.jsonl") == ["p-1"]


def test_what_comes_in_the_middle_of_writing_waits_for_its_end(tmp_path):
    """A clock that does, while a piece is written, what a signal handler would do there."""
    path = tmp_path / "log.jsonl"
    done: list[list[str]] = []
    handlers = []

    def clock() -> int:
        if handlers:
            handlers.pop()()
        return 0

    def handler() -> None:
        recorder.flush()
        recorder.when_written(lambda: done.append(counted(path)))
        recorder.note(ev.PubFail(mid="p-2", ch="a"))
        assert done == []
        assert counted(path) == []

    recorder = Recorder(path, clock=clock)
    recorder.note(ev.PubFail(mid="p-1", ch="a"))
    handlers.append(handler)
    recorder.flush()
    assert done == [["p-1", "p-2"]]
    recorder.when_written(lambda: done.append([]))
    assert done == [["p-1", "p-2"], []]
    recorder.close()
    assert counted(path) == ["p-1", "p-2"]
