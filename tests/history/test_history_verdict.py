"""What a log that says too little, or nothing, or nonsense, comes to; and the command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.history import events as ev
from tests.history.__main__ import main
from tests.history.check import check, check_events
from tests.history.events import line_of
from tests.history.intake import BadLog
from tests.history.limits import Limits
from tests.history.story import at, delivered, ended, fault, final, published, subscribed, told

GOOD = [subscribed(1), *published("p-1", 1, 2), delivered(3, "p-1", 1), final(9, 1)]
ROOT = Path(__file__).parents[2]


def write(path: Path, *events: ev.Event) -> Path:
    path.write_text("".join(line_of(event) + "\n" for event in events))
    return path


def test_nothing_proves_nothing():
    verdict = told()

    assert verdict.outcome == "vacuous"
    assert verdict.reasons == ["no acknowledged", "no deliveries"]


@pytest.mark.parametrize("missing", ["S1", "S2", "S3", "S4", "S5", "S6"])
def test_what_is_demanded_and_did_not_happen_makes_a_run_vacuous(missing):
    assert told(GOOD).is_valid

    verdict = told(GOOD, demand={missing})

    assert verdict.outcome == "vacuous"
    assert verdict.reasons == [f"{missing} never happened"]


def test_what_is_demanded_may_happen_in_a_channel_or_to_a_client():
    verdict = told(
        subscribed(1), published("p-1", 1, 2), delivered(3, "p-1", 1), ended(4),
        published("p-2", 2, 4.5), subscribed(5, 2, seg=2, recovered=True),
        delivered(5, "p-2", 2, seg=2), final(9, 2), at(4, ev.Close(cid="c", code=3008)),
        at(4, ev.Move(cid="c", target="n2")), at(5, ev.Conn(cid="c", node="n2")),
        at(4, ev.Move(cid="d", target="n2")),
        demand={"S1", "S5", "S6"},
    )

    assert verdict.is_valid, verdict
    assert {name: verdict.sometimes[name] for name in ("S1", "S5", "S6")} == {
        "S1": 1, "S5": 1, "S6": 1
    }


def test_without_the_end_of_a_stream_the_verdict_is_unknown():
    verdict = told(GOOD[:-1])

    assert (verdict.outcome, verdict.reasons) == ("unknown", ["no final of a"])


def test_a_torn_log_makes_the_verdict_unknown_unless_its_process_was_killed():
    torn = {"log": [*GOOD, at(9, ev.End())], "other": [at(1, ev.Conn(cid="d", node="n"))]}

    assert check_events(torn).reasons == ["the log of other has no end"]
    assert check_events(torn, Limits(killed={"other"})).is_valid


def test_clients_of_a_killed_process_need_not_have_everything():
    killed = [subscribed(1, cid="d")]
    logs = {"log": [*GOOD, at(9, ev.End())], "other": killed}

    assert check_events(logs, Limits(killed={"other"})).is_valid


def test_a_phase_in_which_nothing_was_acknowledged_makes_the_verdict_unknown():
    assert told(GOOD, fault(0.5, 1)).reasons == [
        "nothing was acknowledged in the phase before fault"
    ]
    assert told(GOOD, fault(4, 8)).reasons == [
        "nothing was acknowledged after the last fault had healed"
    ]
    again = [*GOOD[:-1], *published("p-2", 2, 8), delivered(8.5, "p-2", 2), final(9, 2)]
    assert told(again, fault(3, 4), fault(7, 7.5)).reasons == [
        "nothing was acknowledged in the phase before fault"
    ]
    assert told(again, fault(3, 4), fault(5, 7.5)).is_valid, "a short pause between faults"
    never_healed = at(4, ev.Nemesis(op="start", fault="x"))
    assert told(GOOD, never_healed).is_valid


def test_a_broken_promise_outweighs_everything():
    assert told(GOOD[:-1], delivered(4, "p-1", 1), demand={"S1"}).outcome == "invalid"


@pytest.mark.parametrize("nonsense", [
    [subscribed(2), subscribed(1)],
    [subscribed(1), subscribed(2)],
    [at(1, ev.PubInvoke(mid="p-1", ch="a", crc=1)), at(2, ev.PubInvoke(mid="p-1", ch="a", crc=1))],
    [at(1, ev.Nemesis(op="heal", fault="x"))],
], ids=["time goes back", "a seg twice", "a mid twice", "healed before it started"])
def test_what_no_run_can_write_is_refused(nonsense):
    with pytest.raises(BadLog):
        check_events({"log": nonsense})


def test_a_client_stands_in_one_log():
    with pytest.raises(BadLog):
        check_events({"one": [subscribed(1)], "two": [subscribed(1, seg=2)]})


def test_half_a_line_at_the_end_is_left_out(tmp_path):
    path = write(tmp_path / "log.jsonl", *GOOD)
    with path.open("a") as file:
        file.write('{"e":"deliver","cid":"c","ch"')

    assert check([tmp_path]).reasons == ["the log of log has no end"]
    assert check([path], Limits(killed={"log"})).looked_at["I1"] == 1


def test_a_line_that_is_no_event_is_refused_and_shown(tmp_path):
    path = write(tmp_path / "log.jsonl", *GOOD)
    path.write_text(path.read_text() + '{"e":"delivery"}\n')

    with pytest.raises(BadLog, match=r"event 6.*delivery"):
        check([tmp_path])


def test_two_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "more").mkdir()
    write(tmp_path / "log.jsonl", *GOOD)
    write(tmp_path / "more" / "log.jsonl", at(1, ev.End()))

    with pytest.raises(BadLog):
        check([tmp_path, tmp_path / "more"])


def test_the_command_prints_the_verdict(tmp_path, capsys):
    write(tmp_path / "log.jsonl", *GOOD, at(9, ev.End()))

    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--demand", "S1"]) == 3
    printed = capsys.readouterr().out
    assert "verdict: VALID\nseen: acknowledged 1, clients 1" in printed
    assert "verdict: VACUOUS" in printed
    assert "because S1 never happened" in printed


def test_the_command_shows_the_events_that_break_a_promise(tmp_path):
    again = [delivered(3, "p-1", 1, cid="d"), delivered(4, "p-1", 1, cid="d")]
    write(tmp_path / "log.jsonl", *GOOD, at(9, ev.End()))
    write(tmp_path / "other.jsonl", subscribed(1, cid="d"), *again, at(9, ev.End()))

    run = subprocess.run(
        [sys.executable, "-m", "tests.history", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )

    assert run.returncode == 1, run.stderr
    assert "violations: I3 1\nI3 a: d: e/1 was delivered again" in run.stdout
    assert f"    other: {line_of(again[0])}\n    other: {line_of(again[1])}\n" in run.stdout


def test_the_command_lists_what_was_lost(tmp_path, capsys):
    lost = [subscribed(1), *published("p-1", 1, 2), delivered(3, "p-1", 1), ended(3.5),
            *published("p-2", 2, 3.6), subscribed(4, 2, seg=2, recovered=False), final(9, 2)]
    write(tmp_path / "log.jsonl", *lost, at(9, ev.End()))

    assert main([str(tmp_path)]) == 0
    assert "lost: postfix, excused 1\n    p-2 a e/2 postfix, excused" in capsys.readouterr().out


def test_the_command_refuses_what_is_not_a_log(tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text("what?\n")

    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "missing.jsonl")]) == 2
    assert "event 1" in capsys.readouterr().err
