"""The byte rate of one connection: over it reading pauses, and nothing is lost."""

from __future__ import annotations

import json

import trio

from tests.ingress.conftest import Opened, peer, tcp_stream
from tests.ingress.test_http_reloading import giving
from tests.ingress.test_limits import push_of
from tests.ingress.test_listeners import handshake
from tests.ingress.test_send_budget import hits
from wsmesh.config.limits import LimitsSection
from wsmesh.config.values import ByteSize
from wsmesh.serving import Node
from wsmesh.wire.frames import TEXT, client_frame

CONNECT = b'{"id":1,"connect":{"data":"%s"}}'
SLOWLY = {"byte_rate": "256KiB", "byte_burst": ByteSize(128)}


def in_frames(message: bytes, number: int) -> bytes:
    """Return a message in so many frames of the most expensive form."""
    size = -(-len(message) // number)
    parts = [message[start : start + size] for start in range(0, len(message), size)]
    assert len(parts) == number
    return b"".join(
        client_frame(TEXT if part is parts[0] else 0, part, fin=part is parts[-1])
        for part in parts
    )


async def test_the_largest_message_in_the_most_frames_fits_whatever_the_burst(
    opened: Opened,
) -> None:
    defaults = LimitsSection()
    text = CONNECT % (b"x" * (defaults.message_size - len(CONNECT) + 2))
    assert len(text) == defaults.message_size
    async with opened(limits=SLOWLY) as node, await tcp_stream(node) as stream:
        await stream.send_all(handshake())
        with trio.fail_after(5):
            assert b" 101 " in await stream.receive_some()
            await stream.send_all(in_frames(text, defaults.fragments))
            assert b'"connect"' in await stream.receive_some()
            assert hits(node, "byte_rate") == 0
            await stream.send_all(client_frame(TEXT, b'{"id":2,"ping":{}}' + b" " * 10_000))
            assert b'"id":2' in await stream.receive_some()
        assert hits(node, "byte_rate") == 1


async def publish_all(node: Node, size: int, number: int) -> tuple[float, float]:
    """Publish so many messages of a size at once.

    :return: seconds until all are back, and those another client waited for an answer meanwhile.
    """
    async with peer(node) as client, peer(node) as other:
        assert "subscribe" in await client.ask(subscribe={"channel": "c"})
        began = trio.current_time()
        for each in range(number):
            data = f"{each} " + "x" * size
            command = {"id": 100 + each, "publish": {"channel": "c", "data": data}}
            await client.ws.send_message(json.dumps(command))
        asked = trio.current_time()
        assert "ping" in await other.ask(ping={})
        waited = trio.current_time() - asked
        found = [(await push_of(client))["pub"]["data"] for _ in range(number)]
        assert [int(data.split()[0]) for data in found] == list(range(number))
        return trio.current_time() - began, waited


async def test_a_burst_over_the_byte_rate_is_slowed_down_and_not_lost(opened: Opened) -> None:
    async with opened(limits=SLOWLY) as node:
        # 300 kB, of which some 67 kB go at once.
        seconds, others_waited = await publish_all(node, 30_000, 10)
        assert seconds > 0.7
        assert others_waited < seconds / 2
        assert hits(node, "byte_rate") > 0
        assert hits(node, "message_rate") == 0


async def test_small_messages_are_charged_too(opened: Opened) -> None:
    limits = SLOWLY | {"message_rate": 1e6, "message_burst": 1_000_000}
    async with opened(limits=limits) as node:
        assert (await publish_all(node, 200, 1000))[0] > 0.4
        assert hits(node, "byte_rate") > 0


async def test_the_smallest_rate_pauses_for_a_full_read_and_disconnects_nobody(
    opened: Opened,
) -> None:
    limits = {"byte_rate": "8KiB", "byte_burst": ByteSize(128), "message_size": ByteSize(128)}
    async with opened(limits=limits) as node, await tcp_stream(node) as stream:
        await stream.send_all(handshake() + client_frame(TEXT, CONNECT % b"x"))
        with trio.fail_after(5):
            received = b""
            while b'"connect"' not in received:
                received += await stream.receive_some()
        # More than one read takes: at 8 KiB/s it is worth some 4 seconds.
        await stream.send_all(client_frame(TEXT, b"{}" + b" " * 100) * 400)
        with trio.fail_after(5):
            while not hits(node, "byte_rate"):
                await trio.sleep(0.01)
        with trio.move_on_after(0.3) as patience:
            received = await stream.receive_some()
        assert patience.cancelled_caught, received
        assert node.statistics().connections == 1


async def test_an_unlimited_byte_rate_never_pauses(opened: Opened) -> None:
    limits = SLOWLY | {"byte_rate": "unlimited"}
    async with opened(limits=limits) as node:
        await publish_all(node, 60_000, 40)
        assert hits(node, "byte_rate") == 0


async def test_the_defaults_let_the_largest_messages_come_one_after_the_other(
    opened: Opened,
) -> None:
    async with opened() as node:
        await publish_all(node, 64_000, 7)
        assert hits(node, "byte_rate") == 0


async def test_a_reload_gives_new_connections_the_new_rate(opened: Opened) -> None:
    async with opened(limits=SLOWLY | {"byte_rate": "unlimited"}) as node, peer(node) as old:
        await node.reload(giving(node, limits=SLOWLY))
        for _ in range(4):
            assert "publish" in await old.ask(publish={"channel": "c", "data": "x" * 60_000})
        assert hits(node, "byte_rate") == 0
        async with peer(node) as new:
            for _ in range(2):
                assert "publish" in await new.ask(publish={"channel": "c", "data": "x" * 60_000})
        assert hits(node, "byte_rate") > 0
