"""Scenarios and strategies are read strictly, and mistakes are named."""

from __future__ import annotations

import pytest

from balancers import STRATEGIES
from bench.simulation.choice import ChoiceError, known_strategies, parse
from bench.simulation.scenario import ScenarioError, load, shipped
from bench.simulation.steps import Action, Step, steps_of

SMALL = """
about = "small"
duration = 60

[[nodes]]
count = 3
zone = "a"

[[nodes]]
zone = "b"
"""


def written(path, text):
    file = path / "mine.toml"
    file.write_text(text)
    return file


def loaded(path, events):
    return load(written(path, SMALL + "".join(f"[[events]]\n{each}\n" for each in events)))


def test_a_file_is_a_scenario_with_its_name_and_defaults(tmp_path):
    scenario = load(written(tmp_path, SMALL))

    assert scenario.name == "mine"
    assert [group.count for group in scenario.nodes] == [3, 1]
    assert scenario.gateways.report_interval == 5


def test_the_digest_changes_with_the_content_only(tmp_path):
    first = load(written(tmp_path, SMALL))
    commented = load(written(tmp_path, "# why\n" + SMALL))
    other = load(written(tmp_path, SMALL.replace("60", "61")))

    assert first.digest == commented.digest != other.digest
    assert len({load(path).digest for path in shipped().values()}) == len(shipped())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("duration = ", "Invalid value"),
        ("about = 'x'\nduration = 5", "nodes"),
        (SMALL.replace("zone = \"b\"", "zoen = \"b\""), "zoen"),
        (SMALL.replace("duration = 60", "duration = -1"), "duration"),
        (SMALL + "[sessions]\ninitial = 900_000", "at most 40000 clients"),
        (SMALL.replace("about", "warm_up = 60\nabout"), "warm_up"),
        (SMALL + "[[events]]\nat = 1\nkind = 'crash'\nnodes = [4]", "nodes from 0 to 3"),
        (SMALL + "[[events]]\nat = 1\nkind = 'crash'", "expected nodes or a zone to crash"),
        (SMALL + "[[events]]\nat = 1\nkind = 'crash'\nzone = 'c'", "no zone 'c'"),
        (SMALL + "[[events]]\nat = 1\nkind = 'join'", "expected a group that joins"),
        (SMALL + "[[events]]\nat = 1\nkind = 'explode'\nnodes = [1]", "explode"),
    ],
)
def test_a_mistake_in_a_scenario_is_named_with_its_file(text, said, tmp_path):
    file = written(tmp_path, text)

    with pytest.raises(ScenarioError, match=r"mine\.toml") as caught:
        load(file)

    assert said in str(caught.value)


def test_a_missing_file_is_an_error_of_the_same_kind(tmp_path):
    with pytest.raises(ScenarioError, match=r"none\.toml"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("event", "steps"),
    [
        ("at = 5\nkind = 'crash'\nnodes = [1]", [Step(5, Action.CRASH, (1,))]),
        (
            "at = 5\nkind = 'crash'\nzone = 'a'\ndown = 2",
            [Step(5, Action.CRASH, (0, 1, 2)), Step(7, Action.START, (0, 1, 2))],
        ),
        (
            "at = 5\nkind = 'leave'\nnodes = [3]\nover = 4",
            [Step(5, Action.DRAIN, (3,), 4), Step(9, Action.STOP, (3,))],
        ),
        (
            "at = 5\nkind = 'drain'\nnodes = [3]\nover = 4\ndown = 1",
            [Step(5, Action.DRAIN, (3,), 4), Step(10, Action.RESUME, (3,))],
        ),
        (
            "at = 5\nkind = 'flap'\nnodes = [0]\ndown = 1\nup = 2\ntimes = 2",
            [
                Step(5, Action.CRASH, (0,)), Step(6, Action.START, (0,)),
                Step(8, Action.CRASH, (0,)), Step(9, Action.START, (0,)),
            ],
        ),
        (
            "at = 5\nkind = 'deploy'\nnodes = [0, 1]\nover = 1\ndown = 2\nup = 3",
            [
                Step(5, Action.DRAIN, (0,), 1), Step(6, Action.STOP, (0,)),
                Step(8, Action.START, (0,)), Step(11, Action.DRAIN, (1,), 1),
                Step(12, Action.STOP, (1,)), Step(14, Action.START, (1,)),
            ],
        ),
        ("at = 5\nkind = 'join'\ngroup = { count = 2 }", [Step(5, Action.START, (4, 5))]),
    ],
)
def test_events_are_taken_apart(event, steps, tmp_path):
    assert steps_of(loaded(tmp_path, [event])) == steps


def test_nodes_that_join_are_numbered_by_time(tmp_path):
    later = "at = 9\nkind = 'join'\ngroup = { count = 2 }"
    sooner = "at = 5\nkind = 'join'\ngroup = {}"

    assert steps_of(loaded(tmp_path, [later, sooner])) == [
        Step(5, Action.START, (4,)), Step(9, Action.START, (5, 6))
    ]


def test_a_choice_has_options_and_modifiers():
    choice = parse("peak_ewma:decay_time=3.5+slow_start:window=20+sticky:ttl=9")

    assert choice.spec.decay_time == 3.5
    assert [each.window for each in choice.modifiers] == [20]
    assert choice.sticky.ttl == 9
    assert parse("first:order=oldest").spec.order == "oldest"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p2d", "did you mean p2c"),
        ("p2c+slow_strat", "did you mean slow_start"),
        ("peak_ewma:decay_tim=1", "did you mean decay_time"),
        ("p2c:choices=3", "there are none"),
        ("peak_ewma:decay_time=0", "above 0"),
        ("peak_ewma:decay_time=x", "peak_ewma"),
        ("p2c+health+health", "one modifier of a kind"),
    ],
)
def test_a_mistake_in_a_choice_is_named(text, said):
    with pytest.raises(ChoiceError, match=said):
        parse(text)


def test_all_strategies_of_the_library_are_known():
    assert set(STRATEGIES) <= set(known_strategies())
