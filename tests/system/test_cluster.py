"""Three real nodes on one Redis are one server: order, takeover, presence, orders, the command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import jwt
import pytest
import trio

from tests.cluster_process import await_states, await_that, running_cluster, states
from tests.node_process import SECRET, NodeProcess, clean_environment
from tests.servers.standalone import running_redis
from wsmesh.client import Disconnected, open_client
from wsmesh.client.options import Dial

ALIVE = {"node-0": "alive", "node-1": "alive", "node-2": "alive"}


@pytest.fixture
def nodes(tmp_path) -> Iterator[list[NodeProcess]]:
    with running_redis() as server, running_cluster(tmp_path, server.url) as nodes:
        yield nodes


def token(user: str) -> str:
    return jwt.encode({"sub": user}, SECRET, algorithm="HS256")


def command(node: NodeProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m wsmesh` with the configuration of a node."""
    return subprocess.run(
        [sys.executable, "-m", "wsmesh", *words, "--config", str(node.log.parent / "wsmesh.toml")],
        capture_output=True, text=True, timeout=30, env=clean_environment(), check=False,
    )


async def until(condition, within: float = 10.0) -> float:
    began = trio.current_time()
    with trio.fail_after(within):
        while not condition():
            await trio.sleep(0.01)
    return trio.current_time() - began


async def test_a_message_published_anywhere_reaches_everybody_in_one_order(nodes) -> None:
    heard: dict[int, list[tuple[int, int]]] = {1: [], 2: []}

    async def listen(number: int, ready: trio.Event) -> None:
        async with (
            open_client(nodes[number].url) as client,
            client.subscribe("news", recover=True) as subscription,
        ):
            ready.set()
            async for publication in subscription:
                heard[number].append((publication.offset, publication.data))

    async with trio.open_nursery() as nursery:
        for number in heard:
            ready = trio.Event()
            nursery.start_soon(listen, number, ready)
            await ready.wait()
        async with open_client(nodes[0].url) as one, open_client(nodes[1].url) as other:
            for number in range(50):
                await (one, other)[number % 2].publish("news", number)
        await until(lambda: all(len(each) == 50 for each in heard.values()))
        nursery.cancel_scope.cancel()
    assert heard[1] == heard[2]
    assert [offset for offset, _ in heard[1]] == list(range(1, 51))


def first_that_answers(*nodes: NodeProcess) -> Dial:
    """Return a dialler that, whatever the URL, goes to the first of these nodes that is there."""

    async def dial(url: str) -> trio.abc.Stream:
        for node in nodes:
            with suppress(OSError):
                return await trio.open_tcp_stream("127.0.0.1", node.port)
        raise ConnectionRefusedError("none of the nodes is there")

    return dial


async def test_a_client_of_a_killed_node_continues_its_session_on_another(nodes) -> None:
    async with (
        open_client(nodes[1].url, dial=first_that_answers(nodes[1], nodes[2])) as client,
        client.subscribe("news", recover=True) as subscription,
    ):
        session, first = client.session, client.client_id
        nodes[0].call("publish", channel="news", data=1)
        assert (await anext(subscription)).data == 1
        await trio.sleep(0.3)  # what the session has is written behind the client's back
        nodes[1].process.kill()
        for number in (2, 3):
            nodes[0].call("publish", channel="news", data=number)
        with trio.fail_after(10):
            assert [(await anext(subscription)).data for _ in range(2)] == [2, 3]
        assert subscription.continuity.recovered
        assert client.client_id != first
        assert client.session == session


async def test_a_killed_nodes_clients_leave_presence_and_it_leaves_the_list(nodes) -> None:
    left: list[str] = []

    async def watch(ready: trio.Event) -> None:
        async with (
            open_client(nodes[0].url) as client,
            client.subscribe("room", join_leave=True) as subscription,
        ):
            ready.set()
            async for event in subscription.events():
                left.append(type(event).__name__)

    async with trio.open_nursery() as nursery:
        ready = trio.Event()
        nursery.start_soon(watch, ready)
        await ready.wait()
        async with open_client(nodes[1].url) as guest:
            async with guest.subscribe("room"):
                await until(
                    lambda: len(nodes[2].call("presence", channel="room")["presence"]) == 2
                )
                nodes[1].process.kill()
                took = await until(
                    lambda: len(nodes[2].call("presence", channel="room")["presence"]) == 1
                )
                assert took < 5
                await until(lambda: "Left" in left)
                await trio.to_thread.run_sync(
                    await_states, nodes[0], {"node-0": "alive", "node-2": "alive"}
                )
                nursery.cancel_scope.cancel()


async def test_the_server_api_reaches_clients_of_other_nodes(nodes) -> None:
    with pytest.raises(Disconnected, match="enough"):
        async with open_client(nodes[2].url, token=token("ann")) as client:
            await client.wait_connected()
            found = nodes[0].call("connections", user="ann")["connections"]
            assert [(name, each["node"]) for name, each in found.items()] == [
                (client.client_id, "node-2")
            ]
            assert client.client_id in command(nodes[1], "cluster", "sessions", "ann").stdout
            nodes[0].call("disconnect", user="ann", disconnect={"code": 4501, "reason": "enough"})
            await trio.sleep(10)


def test_the_command_shows_drains_and_the_drained_node_exits(nodes) -> None:
    shown = json.loads(command(nodes[0], "cluster", "--json").stdout)
    assert {each["name"]: each["state"] for each in shown} == ALIVE
    assert "node-2 drains" in command(nodes[0], "cluster", "drain", "node-2").stdout
    assert nodes[2].process.wait(10) == 0
    await_states(nodes[0], {"node-0": "alive", "node-1": "alive"})
    assert "1 nodes" not in command(nodes[0], "cluster").stdout


def test_a_node_that_was_stopped_for_long_is_fenced_and_comes_back_as_another(nodes) -> None:
    nodes[1].process.send_signal(signal.SIGSTOP)
    await_that(lambda: states(nodes[0]), lambda found: "node-1" not in found)
    nodes[1].process.send_signal(signal.SIGCONT)
    await_states(nodes[0], ALIVE)
    (again,) = [
        each for each in nodes[0].call("info")["nodes"] if each["name"] == "node-1"
    ]
    assert again["incarnation"] == 2
    time.sleep(0.1)
    assert "node.fenced" in nodes[1].said()
