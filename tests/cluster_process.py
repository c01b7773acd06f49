"""Real nodes that share a real Redis: started together, each a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.node_process import OPEN_NODE, NodeProcess, running_node

FORMED_WITHIN = 10.0

CLUSTER_NODE = """
[node]
name = "NAME"
heartbeat_interval = "1s"
node_timeout = "3s"

[redis]
url = "URL"

[limits]
message_rate = 10000
message_burst = 10000
byte_rate = "unlimited"
""" + OPEN_NODE.replace("history_size = 300", "history_size = 100000")
"""As `OPEN_NODE`, with a history that is longer than any run, and a short lease."""


@contextmanager
def running_cluster(
    directory: Path, url: str, count: int = 3, *, more: str = "",
    own: Mapping[int, Mapping[str, str]] = MappingProxyType({}),
    base: str = CLUSTER_NODE,
) -> Iterator[list[NodeProcess]]:
    """Nodes called node-0, node-1, ... that know each other.

    :param url: of the Redis they share.
    :param more: TOML that is appended to each node's.
    :param base: TOML of every node, with NAME and URL to be filled in.
    :param own: of single nodes: another Redis `url`, `more` TOML.
    """
    with ExitStack() as stack:
        starting = []
        for number in range(count):
            home = directory / f"node-{number}"
            home.mkdir()
            facts = own.get(number, {})
            toml = base.replace("NAME", f"node-{number}")
            toml = toml.replace("URL", facts.get("url", url)) + more + facts.get("more", "")
            starting.append(running_node(home, toml))
        with ThreadPoolExecutor(count) as pool:
            nodes = list(pool.map(stack.enter_context, starting))
        for node in nodes:
            await_states(node, {f"node-{number}": "alive" for number in range(count)})
        yield nodes


def states(node: NodeProcess) -> dict[str, str]:
    """Return the nodes' states as one of them sees them."""
    return {each["name"]: each["state"] for each in node.call("info")["nodes"]}


def await_states(node: NodeProcess, wanted: dict[str, str]) -> float:
    """Block until a node sees these nodes in these states; return the seconds it took."""
    return await_that(lambda: states(node), lambda found: found == wanted)


def await_that(read: Callable[[], Any], holds: Callable[[Any], bool]) -> float:
    """Block until what is read holds; return the seconds it took."""
    began = time.monotonic()
    while True:
        found = read()
        if holds(found):
            return time.monotonic() - began
        assert time.monotonic() - began < FORMED_WITHIN, found
        time.sleep(0.02)
