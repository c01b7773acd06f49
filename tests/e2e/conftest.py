"""Real nodes for real clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.node_process import OPEN_NODE, NodeProcess, running_node


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the outcomes of the conformance suite, those that are not strict by their numbers."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, text in getattr(report, "user_properties", ()):
                if name == "Autobahn":
                    terminalreporter.section(name)
                    terminalreporter.line(text)
