"""The strategy that docs/balancers.md tells people to copy works as it stands there."""

from __future__ import annotations

import random
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from balancers import Member, View, compose
from balancers.modifiers import HealthSpec
from tests.balancers.fleets import fleet
from tests.balancers.moments import Hands
from tests.balancers.options_table import PAGE

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def block(kind: str, containing: str) -> str:
    (found,) = [text for name, text in BLOCKS if name == kind and containing in text]
    return found


@pytest.fixture
def most_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Any]:
    """Install the example as a package of its own and find it as wsmesh does."""
    (tmp_path / "most_room.py").write_text(block("python", "class MostRoom"))
    setup = block("ini", "most_room")
    group, entry = re.findall(r"^(wsmesh\.\w+) =\n    (.*)$", setup, re.MULTILINE)[0]
    info = tmp_path / "most_room-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: most-room\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = [each for each in entry_points(group="wsmesh.balancers") if each.name == "most_room"]
    spec: type[Any] = found.load()
    monkeypatch.delitem(sys.modules, "most_room")
    return spec


def test_a_strategy_of_ones_own_is_found_built_and_composed(most_room: type[Any]) -> None:
    balancer = compose(
        most_room(reserve=2), [HealthSpec()], None, random.Random(0), Hands()
    )
    view = View(1, (
        Member(id="big", capacity=9, connections=4), Member(id="small", capacity=4),
        Member(id="sick", capacity=99, score=0.0),
    ))
    placed = []
    for key in range(7):
        member = balancer.pick(key, view)
        assert member is not None
        balancer.opened(member.id)
        placed.append(member.id)
    assert placed == ["big", "big", "small", "big", "small", "big", "small"]
    assert [member.id for member in balancer.rank(0, view)] == ["big", "small"]


def test_its_options_are_checked(most_room: type[Any]) -> None:
    with pytest.raises(ValueError, match="reserve"):
        most_room(reserve=-1)


def test_it_keeps_what_every_strategy_promises(most_room: type[Any]) -> None:
    strategy = most_room().build(random.Random(0), Hands())
    view = fleet(0, 1, capacity=2)
    for expected in ("n0", "n0", "n1"):
        assert strategy.pick(0, view) is strategy.rank(0, view)[0]
        assert strategy.pick(0, view).id == expected
        strategy.opened(expected)
    assert strategy.pick(0, view) is None
    strategy.closed("n1")
    assert strategy.pick(0, view) is view.members[1]
