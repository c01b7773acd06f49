"""Memory is given back once after a departure, not at every look, and not for a few clients."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from wsmesh.cli.allocator import PASSING, stays, with_c_allocator
from wsmesh.cli.main import cli
from wsmesh.memory import PERIOD, QUIET, WORTHWHILE, give_back_after_departures


async def test_memory_is_given_back_once_per_departure_of_most(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    count = [0]
    given: list[int] = []
    nursery.start_soon(
        give_back_after_departures, lambda: count[0], lambda: given.append(count[0])
    )
    many = 4 * WORTHWHILE
    leaving = [many, many - 1, *[WORTHWHILE] * (QUIET + 5), *[0] * QUIET]
    returning = [*[10] * (QUIET + 2), *[0] * (QUIET + 2)]
    for count[0] in (*leaving, 0, 0, *returning):
        await trio.sleep(PERIOD)
        await trio.testing.wait_all_tasks_blocked()
    assert given == [WORTHWHILE, 0]


def test_the_operators_choice_of_allocator_is_respected() -> None:
    assert with_c_allocator({"PYTHONMALLOC": "pymalloc"}) is None
    assert with_c_allocator({"A": "b"}) == {"A": "b", "PYTHONMALLOC": "malloc"}


def test_only_what_serves_is_started_again_at_once():
    for words in ([], ["--dev"], ["run", "--config", "f"], ["gateway"], ["--port", "1", "run"]):
        assert stays(words)
    for words in (["--help"], ["config", "check"], ["cluster", "--watch"], ["up", "--nodes", "3"]):
        assert not stays(words)
    serving = {"run", "gateway"}
    assert set(cli.list_commands(None)) - serving == {
        each for each in PASSING if not each.startswith("-")
    }
