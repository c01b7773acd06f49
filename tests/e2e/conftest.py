"""Real nodes for real clients, and the Autobahn run that goes on beside the tests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.e2e import conformance
from tests.e2e.conformance import ConformanceRun
from tests.node_process import OPEN_NODE, NodeProcess, running_node

_IS_SHARED = "PYTEST_XDIST_WORKER" in os.environ
_RUN = pytest.StashKey[ConformanceRun]()


@pytest.fixture(scope="module")
def start_node(tmp_path_factory) -> Iterator[Callable[..., NodeProcess]]:
    """Start nodes with a configuration of their own; they stop with the module."""
    with ExitStack() as stack:

        def start(toml: str = OPEN_NODE) -> NodeProcess:
            directory = tmp_path_factory.mktemp("node")
            return stack.enter_context(running_node(directory, toml))

        yield start


@pytest.fixture(scope="module")
def node(start_node) -> NodeProcess:
    """A node that lets everybody do everything; one for each file of tests."""
    return start_node()


@pytest.fixture
def autobahn(request) -> ConformanceRun:
    """The run that began with the session, or begins now where tests share several processes."""
    stash = request.config.stash
    if _RUN not in stash:
        stash[_RUN] = conformance.start()
    return stash[_RUN]


def _is_autobahn(item: pytest.Item) -> bool:
    return "autobahn" in getattr(item, "fixturenames", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Beside the tests of one process it comes last; as one of several processes' work, first.
    items.sort(key=_is_autobahn, reverse=_IS_SHARED)


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(map(_is_autobahn, session.items)) and not session.config.option.collectonly
    if wanted and not _IS_SHARED:
        session.config.stash[_RUN] = conformance.start()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    run = config.stash.get(_RUN, None)
    if run is None or run.outcomes is None:
        return
    terminalreporter.section("Autobahn")
    counts = Counter(run.outcomes.values())
    terminalreporter.line(", ".join(f"{count} {text}" for text, count in counts.most_common()))
    for outcome in sorted(counts.keys() - {"OK"}):
        cases = " ".join(conformance.in_groups(run.outcomes, outcome))
        terminalreporter.line(f"{outcome}: {cases}")


def pytest_unconfigure(config: pytest.Config) -> None:
    if (run := config.stash.get(_RUN, None)) is not None:
        run.stop()
