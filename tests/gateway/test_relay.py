"""Relaying between two sockets: everything arrives, ends are passed on, nobody is waited for."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from wsmesh.gateway.relay import Relay


def a_pair() -> tuple[trio.SocketStream, socket.socket]:
    """Return a stream, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    return trio.SocketStream(trio.socket.from_stdlib_socket(ours)), theirs


@asynccontextmanager
async def relayed(
    *, idle_timeout: float = 60.0, size: int = 4096
) -> AsyncGenerator[tuple[trio.SocketStream, trio.SocketStream, Relay, trio.Event]]:
    relay = Relay(idle_timeout, size)
    one, near = a_pair()
    other, far = a_pair()
    done = trio.Event()

    async def carry() -> None:
        await relay.carry(near, far)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        nursery.start_soon(carry)
        await trio.testing.wait_all_tasks_blocked()
        yield one, other, relay, done
        nursery.cancel_scope.cancel()
    assert near.fileno() == far.fileno() == -1, "both are closed"
    await trio.aclose_forcefully(one)
    await trio.aclose_forcefully(other)


async def exactly(stream: trio.SocketStream, size: int) -> bytes:
    data = b""
    with trio.fail_after(10):
        while len(data) < size:
            part = await stream.receive_some(65536)
            if not part:
                break
            data += part
    return data


async def test_both_ways_at_once_and_back_pressure_keeps_memory_bounded() -> None:
    blob = bytes(range(256)) * 16_384  # 4 MiB: far beyond the sockets' buffers
    async with relayed() as (one, other, relay, done), trio.open_nursery() as nursery:
        nursery.start_soon(one.send_all, blob)
        nursery.start_soon(other.send_all, blob[::-1])
        for _ in range(20):
            await trio.testing.wait_all_tasks_blocked(0.005)
        assert relay.bytes < 4 * 1024 * 1024, "nobody reads, so it must wait"
        assert await exactly(other, len(blob)) == blob
        assert await exactly(one, len(blob)) == blob[::-1]
        assert relay.bytes == 2 * len(blob)
        assert not done.is_set()


async def test_the_end_of_one_direction_leaves_the_other_open() -> None:
    async with relayed() as (one, other, _, done):
        await one.send_all(b"request")
        await one.send_eof()
        assert await exactly(other, 100) == b"request"
        await other.send_all(b"answer")
        assert await exactly(one, 6) == b"answer"
        assert not done.is_set()
        await other.send_eof()
        with trio.fail_after(5):
            await done.wait()
        assert await one.receive_some(1) == b""


async def test_what_was_said_before_hanging_up_still_arrives_at_a_slow_reader() -> None:
    blob = b"x" * 1_000_000
    async with relayed() as (one, other, _, done):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.send_eof)

            async def say_and_go() -> None:
                await one.send_all(blob)
                await one.aclose()

            nursery.start_soon(say_and_go)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert await exactly(other, len(blob)) == blob
        with trio.fail_after(5):
            await done.wait()


async def test_a_broken_side_ends_the_other() -> None:
    async with relayed() as (one, other, _, done):
        await one.aclose()
        with trio.fail_after(5):
            assert await other.receive_some(10) == b""
            await other.aclose()
            await done.wait()


async def test_cancelling_closes_both() -> None:
    relay = Relay(60.0, 4096)
    one, near = a_pair()
    other, far = a_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        with trio.move_on_after(0.05):
            await relay.carry(near, far)
        assert len(relay) == 0
        assert await one.receive_some(1) == b"" == await other.receive_some(1)
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(one)
    await trio.aclose_forcefully(other)


async def test_an_idle_pair_is_closed_and_a_busy_one_is_not(
    autojump_clock: MockClock,
) -> None:
    relay = Relay(10.0, 4096)
    one, near = a_pair()
    other, far = a_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.run)
        began = trio.current_time()
        await relay.carry(near, far)
        assert 10.0 <= trio.current_time() - began <= 12.0
        assert relay.timed_out >= 1
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(one)
    await trio.aclose_forcefully(other)
