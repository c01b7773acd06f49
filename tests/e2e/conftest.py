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
