"""The node's budget of send queues: who waits for most gives way, and nobody else."""

from __future__ import annotations

import json
import socket

import trio

from tests.ingress.conftest import Opened, peer
from tests.ingress.test_limits import push_of, received_by, subscribed_and_stalled
from wsmesh.config.values import ByteSize, Seconds
from wsmesh.serving import Node

KIB = 1024
PAYLOAD = json.dumps("x" * 20_000).encode()


def hits(node: Node, limit: str) -> int:
    """How often a limit was reached, as /metrics tells."""
    text = node.metrics.exposition("")[0].decode()
    sample = f'wsmesh_limit_hits_total{{limit="{limit}"}} '
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if sample in line)


async def stalled(node: Node, channel: str, queued: int) -> socket.socket:
    """Return a client for which at least so many bytes wait, on top of what others wait for."""
    before = node.statistics()
    sock = await subscribed_and_stalled(node, channel)
    with trio.fail_after(10):
        while (
            node.statistics().slow_connections == before.slow_connections
            or node.statistics().queue_bytes < before.queue_bytes + queued
        ):
            await node.operations.publish(channel, PAYLOAD)
            await trio.lowlevel.checkpoint()
    return sock


async def test_the_client_that_waits_for_most_is_disconnected_and_the_others_stay(
    opened: Opened,
) -> None:
    limits = {
        "send_queue_bytes": ByteSize(512 * KIB), "send_queue_total": ByteSize(512 * KIB),
        "write_timeout": Seconds(30),
    }
    async with opened(limits=limits) as node, peer(node) as healthy:
        assert "subscribe" in await healthy.ask(subscribe={"channel": "most"})
        little = await stalled(node, "little", 100 * KIB)
        most = await stalled(node, "most", 200 * KIB)
        with little, most:
            with trio.fail_after(10):
                while not hits(node, "send_queue_total"):
                    await node.operations.publish("most", PAYLOAD)
                    assert "pub" in await push_of(healthy)
            received = await received_by(most)
            assert received.endswith((3008).to_bytes(2, "big") + b"slow")
            assert hits(node, "send_queue_total") == 1
            assert hits(node, "slow_consumer") == 0
            with trio.fail_after(5):
                while node.statistics().connections > 2:
                    await trio.sleep(0.01)
            assert node.statistics().queue_bytes >= 100 * KIB
            async with trio.open_nursery() as nursery:
                nursery.start_soon(received_by, little)
                with trio.fail_after(5):
                    while node.statistics().queue_bytes:
                        await trio.sleep(0.01)
                nursery.start_soon(node.drain, 5.0)


async def test_what_clients_that_are_gone_or_caught_up_waited_for_is_free_again(
    opened: Opened,
) -> None:
    limits = {
        "send_queue_bytes": ByteSize(512 * KIB), "send_queue_total": ByteSize(512 * KIB),
        "write_timeout": Seconds(30),
    }
    async with opened(limits=limits) as node:
        for _ in range(3):
            (await stalled(node, "c", 300 * KIB)).close()
            with trio.fail_after(5):
                while node.statistics().connections:
                    await trio.sleep(0.01)
        for _ in range(3):
            with await stalled(node, "c", 300 * KIB) as sock:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(received_by, sock)
                    with trio.fail_after(5):
                        while node.statistics().queue_bytes:
                            await trio.sleep(0.01)
                    sock.shutdown(socket.SHUT_RDWR)
            with trio.fail_after(5):
                while node.statistics().connections:
                    await trio.sleep(0.01)
        assert hits(node, "send_queue_total") == hits(node, "slow_consumer") == 0
