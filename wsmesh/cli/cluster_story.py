"""The rest of the demonstration's story: a node is killed, and the strategy changes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.request import ProxyHandler, Request, build_opener

import trio

from wsmesh.cli.story import (
    NAMES,
    QUICK,
    STEP_WITHIN,
    Listener,
    StepFailed,
    Teller,
    open_listener,
)
from wsmesh.client import open_client
from wsmesh.protocol.control import REPORT_INTERVAL

NEWCOMERS = 6
BAR = 20
"""Columns of a node's bar."""

LOOK_AGAIN = 0.05


class Cluster(Protocol):
    """What the story needs of the processes."""

    @property
    def port(self) -> int:
        """Where the gateway listens on loopback."""

    def kill(self, name: str) -> int:
        """SIGKILL a node; return its process id."""

    def configure(self, strategy: str) -> Path:
        """Write another `[balancer] strategy` into the file and send SIGHUP; return the file."""


async def tell_cluster_story(cluster: Cluster, teller: Teller) -> None:
    """Play it against a gateway and three nodes in dev mode.

    :raises StepFailed: something did not hold.
    """
    await _lose_a_node(cluster, teller)
    await _change_strategy(cluster, teller)


async def _lose_a_node(cluster: Cluster, teller: Teller) -> None:
    url = f"ws://127.0.0.1:{cluster.port}/connection/websocket"
    async with AsyncExitStack() as stack:
        teller.heading("The clients are on different nodes")
        # Those of the story before have left, and the gateway has heard of it.
        await _loads_when(cluster, lambda loads: not any(loads.values()))
        await trio.sleep(2 * REPORT_INTERVAL)
        listeners = [
            await stack.enter_async_context(open_listener(name, url, [])) for name in NAMES
        ]
        loads, ids = await _loads_when(
            cluster, lambda loads: sum(loads.values()) == len(NAMES)
        )
        _show(loads, teller)

        victim = max(loads, key=lambda name: loads[name])
        lost = ids[victim]
        teller.heading(f"{victim} is killed (SIGKILL), with {loads[victim]} client(s)")
        pid = cluster.kill(victim)
        began = trio.current_time()
        teller.say(victim, f"process {pid} is gone", colour="red")
        hit = await _those_hit(listeners, loads[victim])
        for listener in hit:
            await listener.wait("it comes back", lambda each=listener: _is_back(each))  # type: ignore[misc]
            took = (trio.current_time() - began) * 1000
            outcome = listener.outcomes[-1]
            if not outcome.recovered:
                raise StepFailed(f"{listener.name} came back and could not recover: {outcome}")
            teller.say(listener.name, f"is on another node, its session continued, {took:.0f} ms "
                       "after the kill")
        await listeners[0].client.publish("demo", {"text": "everybody here?"})
        for listener in listeners:
            await listener.wait("the message after it", lambda each=listener: each.heard)  # type: ignore[misc]
            teller.say(listener.name, f"heard {listener.heard[-1].data['text']!r}")
        loads, _ = await _loads_when(
            cluster, lambda loads: sum(loads.values()) == len(NAMES), without=lost
        )
        teller.say(victim, "was started again by the supervisor")
        _show(loads, teller)


async def _change_strategy(cluster: Cluster, teller: Teller) -> None:
    for strategy, text in (("first", "fills one node"), ("round_robin", "takes turns")):
        teller.heading(f'[balancer] strategy = "{strategy}", SIGHUP: {NEWCOMERS} clients come')
        file = cluster.configure(strategy)
        teller.say("you", f"changed {file} and sent SIGHUP", colour="yellow")
        await _until_placed_by(cluster, strategy)
        async with _newcomers(cluster.port):
            loads, _ = await _loads_when(
                cluster, lambda loads: sum(loads.values()) == NEWCOMERS
            )
            wanted = [NEWCOMERS, 0, 0] if strategy == "first" else [2, 2, 2]
            if sorted(loads.values(), reverse=True) != wanted:
                raise StepFailed(f"{strategy} placed the clients as {loads}")
            _show(loads, teller)
            teller.say("gateway", f"{strategy} {text}", colour="green")
        await _loads_when(cluster, lambda loads: not any(loads.values()))


async def _those_hit(listeners: list[Listener], count: int) -> list[Listener]:
    """Return the clients that lost their connection, once there are so many."""
    hit: list[Listener] = []

    def found() -> list[Listener]:
        return [each for each in listeners if each.losses]

    async def watch(listener: Listener) -> None:
        await listener.wait("it notices the loss", lambda: bool(listener.losses) or bool(hit))
        if not hit and len(found()) >= count:
            hit.extend(found())
            for each in listeners:
                each.ring()

    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(watch, listener)
    return hit


def _is_back(listener: Listener) -> bool:
    return listener.client.is_connected and len(listener.outcomes) > 1


@asynccontextmanager
async def _newcomers(port: int) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(NEWCOMERS):
            client = await stack.enter_async_context(
                open_client(f"ws://127.0.0.1:{port}/connection/websocket", backoff=QUICK)
            )
            await client.wait_connected(STEP_WITHIN)
        yield


async def _until_placed_by(cluster: Cluster, strategy: str) -> None:
    """The order of preference shows which strategy the gateway has."""
    with trio.move_on_after(STEP_WITHIN):
        while True:
            answer = await trio.to_thread.run_sync(_get, cluster.port, "/placement")
            if answer.get("strategy") == strategy:
                return
            await trio.sleep(LOOK_AGAIN)
    raise StepFailed(f"the gateway does not place by {strategy}")


async def _loads_when(
    cluster: Cluster, holds: Callable[[dict[str, int]], bool], *, without: str = ""
) -> tuple[dict[str, int], dict[str, str]]:
    """Return the clients and the id of each node by its name, once something holds of the clients.

    :param without: id of a node that must have gone.
    """
    loads: dict[str, int] = {}
    with trio.move_on_after(STEP_WITHIN):
        while True:
            answer = await trio.to_thread.run_sync(_post, cluster.port, "info")
            nodes = [
                node for node in answer.get("result", {}).get("nodes", ())
                if node["uid"] != without
            ]
            loads = {node["name"]: node["num_clients"] for node in nodes}
            if len(loads) == len(NAMES) and holds(loads):
                return dict(sorted(loads.items())), {node["name"]: node["uid"] for node in nodes}
            await trio.sleep(LOOK_AGAIN)
    raise StepFailed(f"the nodes have {loads}")


def _show(loads: dict[str, int], teller: Teller) -> None:
    for name, count in loads.items():
        bar = "█" * min(BAR, 2 * count)
        teller.say(name, f"{bar} {count} client{'' if count == 1 else 's'}".strip(),
                   colour="green")


def _get(port: int, path: str) -> Any:
    return _ask(Request(f"http://127.0.0.1:{port}{path}"))


def _post(port: int, method: str) -> Any:
    return _ask(Request(f"http://127.0.0.1:{port}/api/{method}", b"{}"))


def _ask(request: Request) -> Any:
    """Return the answer; nothing where there is none right now, for it is asked again."""
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=STEP_WITHIN) as answer:
            return json.load(answer)
    except OSError:
        return {}
