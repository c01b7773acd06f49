"""docs/failover.md tells the truth: its tables, its options, and the strategy it tells to copy."""

from __future__ import annotations

import random
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import attrs
import pytest

from balancers import Member, P2CSpec, View
from failover import FAILBACKS, STRATEGIES, Failover, Orphan, Policy, shed
from tests.failover.failover_options import PAGE, SPECS, written

TEXT = PAGE.read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


def block(kind: str, containing: str) -> str:
    (found,) = [text for name, text in BLOCKS if name == kind and containing in text]
    return found


@pytest.mark.parametrize("name", [*STRATEGIES, *FAILBACKS])
def test_everything_that_has_a_name_has_its_row(name: str) -> None:
    assert f"\n| `{name}` | " in TEXT.partition("## Options")[0]


def test_the_options_are_those_of_the_classes() -> None:
    assert written(TEXT) == TEXT, "run python -m tests.failover.failover_options"


@pytest.mark.parametrize("name", SPECS)
def test_every_option_is_explained_and_has_a_default_that_is_good(name: str) -> None:
    spec: Any = SPECS[name]
    assert attrs.evolve(spec()) == spec()
    for field in attrs.fields(spec):
        assert field.metadata["help"].endswith(".")
        assert field.metadata.get("unit", "s") == "s"


def test_the_first_example_places_whom_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("python", "for each in shed"), "failover.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert all("-> " in line and "(redispatch)" in line for line in lines)


def test_the_rebalancing_example_runs() -> None:
    exec(compile(block("python", "Rebalance()"), "failover.md", "exec"), {})


@pytest.fixture
def nearby(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failover:
    """Install the example as a package of its own and find it as wsmesh does."""
    (tmp_path / "nearby.py").write_text(block("python", "class Nearby"))
    setup = block("ini", "nearby")
    group, entry = re.findall(r"^(wsmesh\.\w+) =\n    (.*)$", setup, re.MULTILINE)[0]
    info = tmp_path / "nearby-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nearby\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = [each for each in entry_points(group="wsmesh.failover") if each.name == "nearby"]
    spec: Any = found.load()
    monkeypatch.delitem(sys.modules, "nearby")
    strategy: Failover = spec(zone="here").build(P2CSpec())
    return strategy


def test_a_strategy_of_ones_own_is_found_and_plans(nearby: Failover) -> None:
    view = View(1, (
        Member(id="a", zone="here", capacity=3), Member(id="b", zone="here", capacity=5),
        Member(id="c", capacity=4), Member(id="gone", is_accepting=False),
    ))
    lost = [Orphan(f"s{n:02}", n, "gone", since=float(n)) for n in range(14)]
    policy = Policy(rate=2.0)
    moves = nearby.plan(view, lost, policy, 10.0, random.Random(0))
    assert [move.to for move in moves] == [*"bbababab", *"cccc"]
    assert all(10.0 <= move.at <= 12.5 for move in moves)
    sheds = shed(view, lost, moves, policy, 10.0)
    assert [each.session for each in sheds] == ["s12", "s13"]


def test_it_sends_nobody_home(nearby: Failover) -> None:
    staying = [Orphan("s", 1, "a")]
    view = View(1, (Member(id="a", zone="here"), Member(id="b")))
    assert nearby.plan(view, staying, Policy(), 0.0, random.Random(0))[0].to == "b"
    assert nearby.plan(view.without("b"), staying, Policy(), 0.0, random.Random(0)) == ()
