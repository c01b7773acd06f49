"""The proxy has the faults it is told, in the direction it is told, and heals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import redis
import trio

from tests.servers.proxy import Direction, Proxy, open_proxy
from tests.servers.resp import RespSplitter

PROMPT = 0.1
"""Seconds within which loopback surely answers."""


@pytest.fixture
async def echo(nursery) -> tuple[str, int]:
    """The address of a server that sends back what it gets."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            async for data in stream:
                await stream.send_all(data)
        except trio.BrokenResourceError:
            return

    listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
    return listeners[0].socket.getsockname()


@pytest.fixture
async def proxy(echo) -> AsyncIterator[Proxy]:
    async with open_proxy(echo) as opened:
        yield opened


async def exchange(stream: trio.SocketStream, text: bytes = b"hello") -> bytes:
    await stream.send_all(text)
    answer = b""
    while len(answer) < len(text):
        answer += (data := await stream.receive_some())
        assert data, "closed"
    return answer


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = trio.current_time()
    await work()
    return trio.current_time() - began


async def client_of(proxy: Proxy) -> trio.SocketStream:
    return await trio.open_tcp_stream(*proxy.address)


async def test_without_faults_it_is_not_there(proxy) -> None:
    async with await client_of(proxy) as stream, trio.open_nursery() as nursery:
        big = bytes(range(256)) * 8192
        nursery.start_soon(stream.send_all, big)
        got = bytearray()
        while len(got) < len(big):
            got += await stream.receive_some()
        assert got == big
        assert proxy.passed(Direction.UP) == proxy.passed(Direction.DOWN) == len(big)
        assert (proxy.accepted, proxy.connections) == (1, 1)


async def test_the_end_of_a_stream_passes_and_the_other_way_stays_open(proxy) -> None:
    async with await client_of(proxy) as stream:
        await stream.send_all(b"last")
        await stream.send_eof()
        assert await stream.receive_some() == b"last"
        assert await stream.receive_some() == b""


async def test_latency_delays_each_way_and_does_not_narrow_it(proxy) -> None:
    async with await client_of(proxy) as stream:
        assert await seconds(lambda: exchange(stream)) < PROMPT
        proxy.latency(0.1)
        assert 0.2 <= await seconds(lambda: exchange(stream)) < 0.2 + PROMPT
        proxy.latency(0.1, direction=Direction.UP)
        proxy.latency(0.0, direction=Direction.DOWN)

        async def many() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(exchange, stream, b"x" * 3_000_000)

        assert await seconds(many) < 1.0


async def test_jitter_keeps_the_order(proxy) -> None:
    proxy.latency(0.0, jitter=0.05)
    async with await client_of(proxy) as stream:
        for number in range(20):
            await stream.send_all(b"%02d" % number)
            await trio.sleep(0.002)
        got = b""
        while len(got) < 40:
            got += await stream.receive_some()
        assert got == b"".join(b"%02d" % number for number in range(20))


@pytest.mark.parametrize(
    ("direction", "reaches"),
    [(Direction.UP, False), (Direction.DOWN, True), (None, False)],
)
async def test_a_black_hole_swallows_its_direction_until_it_heals(
    proxy, direction: Direction | None, reaches: bool
) -> None:
    async with await client_of(proxy) as stream:
        await exchange(stream)
        before = proxy.passed(Direction.UP)
        proxy.blackhole(direction)
        with trio.move_on_after(0.1) as silence:
            await exchange(stream, b"later")
        assert silence.cancelled_caught
        assert (proxy.passed(Direction.UP) > before) is reaches
        assert proxy.connections == 1
        await proxy.heal()
        with trio.fail_after(1):
            assert await stream.receive_some() == b"later"


async def test_a_reset_breaks_open_connections_and_not_new_ones(proxy) -> None:
    async with await client_of(proxy) as stream:
        await exchange(stream)
        assert proxy.reset() == 1
        with trio.fail_after(1), pytest.raises(trio.BrokenResourceError) as broken:
            await stream.receive_some()
    assert isinstance(broken.value.__cause__, ConnectionResetError)
    async with await client_of(proxy) as stream:
        assert await exchange(stream) == b"hello"


async def test_a_close_ends_open_connections_in_order(proxy) -> None:
    async with await client_of(proxy) as stream:
        await exchange(stream)
        assert proxy.close_all() == 1
        with trio.fail_after(1):
            assert await stream.receive_some() == b""
            while proxy.connections:
                await trio.sleep(0.01)


async def test_a_proxy_that_is_down_refuses_and_comes_back_on_its_port(proxy) -> None:
    async with await client_of(proxy) as stream:
        await exchange(stream)
        port = proxy.port
        proxy.down()
        await trio.sleep(0.01)
        with pytest.raises(OSError, match="all attempts to connect"):
            await client_of(proxy)
        assert await exchange(stream) == b"hello"
    await proxy.up()
    async with await client_of(proxy) as stream:
        assert await exchange(stream) == b"hello"
    assert proxy.port == port


async def test_a_server_that_is_gone_resets_its_clients() -> None:
    async with open_proxy(("127.0.0.1", 1)) as proxy, await client_of(proxy) as stream:
        with trio.fail_after(1), pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()


async def test_bandwidth_is_what_it_says(proxy) -> None:
    proxy.bandwidth(100_000, direction=Direction.DOWN)
    async with await client_of(proxy) as stream:
        took = await seconds(lambda: exchange(stream, b"x" * 30_000))
        assert 0.2 < took < 0.6


async def test_one_push_of_redis_is_lost_and_nothing_else(redis_server) -> None:
    async with open_proxy(redis_server.address, splitter=RespSplitter) as proxy:
        await trio.to_thread.run_sync(_lose_the_second_of_three, proxy, redis_server)
        loss = proxy.drop_next(lambda message: b"never" in message)
        assert not loss.happened.is_set()


def _lose_the_second_of_three(proxy: Proxy, server) -> None:
    with redis.Redis(port=proxy.port, protocol=3) as client, client.pubsub() as pubsub:
        pubsub.subscribe("channel")
        assert pubsub.get_message(timeout=1)["type"] == "subscribe"
        loss = trio.from_thread.run_sync(
            lambda: proxy.drop_next(lambda message: b"second" in message)
        )
        for text in ("first", "second", "third"):
            server.admin.publish("channel", text)
        heard = [pubsub.get_message(timeout=1)["data"] for _ in range(2)]
        assert heard == [b"first", b"third"]
        assert len(loss.lost) == 1 and loss.lost[0].startswith(b">3\r\n")
        assert trio.from_thread.run_sync(loss.happened.is_set)
