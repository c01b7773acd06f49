"""Clients at the gateway land on the right node, whatever happens to the others."""

from __future__ import annotations

import json
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from attrs import evolve

from tests.gateway.conftest import Client, Site, gateway_config, node_at, site_of
from wsmesh.errors import ConfigError
from wsmesh.gateway.gateway import open_gateway


async def http(site: Site, request: bytes) -> tuple[int, bytes]:
    """Return status and what follows the head of the answer."""
    async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
        await stream.send_all(request)
        answer = b""
        with trio.fail_after(5):
            while b"\r\n\r\n" not in answer or b"}" not in answer:
                part = await stream.receive_some(65536)
                if not part:
                    break
                answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def get(site: Site, path: str, *more: str) -> tuple[int, bytes]:
    lines = [f"GET {path} HTTP/1.1", "Host: x", *more, "", ""]
    return await http(site, "\r\n".join(lines).encode())


async def test_clients_are_spread_and_the_gateway_holds_nothing_of_them(directory: Path) -> None:
    async with site_of(directory, 3, strategy="round_robin") as site:
        before = site.gateway.desk.relay.reads
        for _ in range(9):
            await site.connect()
        assert site.loads() == [3, 3, 3]
        for client in site.clients:
            assert "error" not in await client.ask(ping={})
        statistics = site.gateway.statistics()
        assert statistics.relayed == 0 and statistics.arriving == 0
        assert site.gateway.desk.relay.reads == before


async def test_clients_live_on_when_the_gateway_is_gone(directory: Path) -> None:
    async with AsyncExitStack() as stack:
        node = await node_at(stack, directory, 1)
        async with open_gateway(gateway_config(directory)) as gateway:
            site = Site(gateway, [node], directory)
            await site.settle(1)
            client = await Client.connect(site.port)
        assert "subscribe" in await client.ask(subscribe={"channel": "news"})
        async with open_gateway(gateway_config(directory)) as gateway:
            site = Site(gateway, [node], directory)
            await site.settle(1)
            another = await Client.connect(site.port)
            assert site.loads() == [2]
            await another.aclose()
        await client.aclose()


async def test_a_full_node_is_passed_over_and_full_nodes_are_told_to_the_client(
    directory: Path,
) -> None:
    limits = {"node": {"max_connections": 2}}
    async with site_of(directory, 2, node=limits, strategy="round_robin") as site:
        for _ in range(4):
            await site.connect()
        assert site.loads() == [2, 2]
        status, body = await get(
            site, "/connection/websocket", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        assert (status, json.loads(body)["error"]["message"]) == (503, "no node takes clients now")


async def test_a_node_that_drains_gets_nobody_new_and_its_clients_are_told(
    directory: Path,
) -> None:
    async with site_of(directory, 2, strategy="round_robin") as site:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.nodes[0].drain, 5.0)
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(4):
                await site.connect()
        assert site.loads() == [0, 4]


async def test_a_node_that_dies_between_pick_and_handover_goes_unnoticed(
    directory: Path,
) -> None:
    """A control socket that reports room, and then takes a client without ever answering."""
    async with site_of(
        directory, 1, strategy="least_connections", gateway={"handover_timeout": 0.2}
    ) as site:
        liar = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        liar.bind(f"{directory}/liar.sock")
        liar.listen()
        liar.setblocking(False)
        await site.connect()  # so that the liar is the least loaded
        async with trio.open_nursery() as nursery:

            async def lie() -> None:
                await trio.lowlevel.wait_readable(liar)
                link, _ = liar.accept()
                report = evolve_report(site)
                with link:
                    link.send(report)
                    link.setblocking(False)
                    await trio.lowlevel.wait_readable(link)
                    # It gets the client's socket, and dies with it unanswered.
                    _, fds, _, _ = socket.recv_fds(link, 65536, 4)
                    for fd in fds:
                        socket.socket(fileno=fd).close()
                liar.close()

            nursery.start_soon(lie)
            await site.settle(2)
            await site.connect()
            nursery.cancel_scope.cancel()
        assert site.loads() == [2]
        assert sum(site.gateway.desk.metrics.failed.counts.values()) == 1


def evolve_report(site: Site) -> bytes:
    import msgspec

    from wsmesh.protocol.control import encode

    report = site.nodes[0].report(1)
    return encode(msgspec.structs.replace(report, node="liar", connections=0, listeners=()))


async def test_a_node_that_hangs_loses_the_client_for_good(directory: Path) -> None:
    """The answer of a node that was given up cannot be sent any more: no client has two nodes."""
    from wsmesh.protocol.control import Taken, encode

    async with site_of(
        directory, 1, strategy="least_connections", gateway={"handover_timeout": 0.1}
    ) as site:
        sleeper = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sleeper.bind(f"{directory}/sleeper.sock")
        sleeper.listen()
        await site.connect()
        link = (await trio.to_thread.run_sync(sleeper.accept))[0]
        link.send(evolve_report(site))
        await site.settle(2)
        await site.connect()
        assert site.loads() == [2]
        _, fds, _, _ = socket.recv_fds(link, 65536, 4)
        assert len(fds) == 1
        with pytest.raises(BrokenPipeError):
            link.send(encode(Taken(1)))
        socket.socket(fileno=fds[0]).close()
        link.close()
        sleeper.close()


async def test_http_goes_to_a_node_and_some_paths_are_answered_here(directory: Path) -> None:
    async with site_of(directory, 2) as site:
        assert await get(site, "/health/live") == (200, b'{"status":"live"}')
        assert await get(site, "/health/ready") == (200, b'{"status":"ready"}')
        status, body = await get(site, "/metrics")
        assert status == 200 and b"wsmesh_gateway_accepted_total" in body
        assert (await get(site, "/metrics", "X-Forwarded-For: 1.2.3.4"))[0] == 403
        status, body = await get(site, "/nowhere")
        assert status == 404 and b"nothing is here" in body
        status, body = await http(site, b"POST /api/info HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status == 401 and b"http_api.key" in body
        assert (await http(site, b"PUT /health/live HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 405


async def test_placement_names_the_nodes_in_order_and_the_pick_agrees(directory: Path) -> None:
    async with site_of(directory, 3, strategy="least_connections") as site:
        await site.connect()
        with trio.fail_after(5):
            while sum(each.connections for each in reports(site)) != 1:
                await trio.sleep(0.01)
        status, body = await get(site, "/placement?key=anna")
        nodes = json.loads(body)["nodes"]
        assert status == 200 and len(nodes) == 3
        assert {node["address"] for node in nodes} == {
            node.addresses[0] for node in site.nodes
        }
        loaded = site.nodes[site.loads().index(1)]
        assert nodes[-1]["address"] == loaded.addresses[0]


def reports(site: Site) -> list[object]:
    return list(site.gateway.desk.placing.fleet.reports.values())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00garbage\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000, 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000, 431),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
    ],
)
async def test_garbage_and_oversized_heads_never_reach_a_node(
    directory: Path, sent: bytes, status: int
) -> None:
    async with site_of(directory, 1) as site:
        answered, body = await http(site, sent)
        assert answered == status, body
        assert site.nodes[0].statistics().sockets == 0
        with trio.fail_after(5):
            while site.gateway.statistics().arriving:
                await trio.sleep(0.01)
        await site.connect()


async def test_a_slow_head_ends_at_its_deadline(directory: Path) -> None:
    async with site_of(directory, 1, limits={"handshake_timeout": 0.2}) as site:
        status, body = await http(site, b"GET / HTTP/1.1\r\nHos")
        assert status == 408 and b"handshake_timeout" in body
        assert site.nodes[0].statistics().sockets == 0


async def test_without_a_node_clients_are_told_when_to_come_back(directory: Path) -> None:
    async with open_gateway(gateway_config(directory)) as gateway:
        site = Site(gateway, [], directory)
        assert (await get(site, "/health/ready"))[0] == 503
        async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
            await stream.send_all(b"GET /connection/websocket HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await stream.receive_some(4096)
        assert answer.startswith(b"HTTP/1.1 503 ") and b"\r\nRetry-After: 2\r\n" in answer


async def test_a_node_elsewhere_gets_bytes_relayed_and_learns_the_clients_address(
    directory: Path,
) -> None:
    async with AsyncExitStack() as stack:
        node = await node_at(
            stack, directory, 1, proxy={"trusted_proxies": ("127.0.0.0/8",)}
        )
        address = node.addresses[0]
        gateway = await stack.enter_async_context(
            open_gateway(gateway_config(None, gateway={"nodes": (address,)}))
        )
        site = Site(gateway, [node], directory)
        client = await Client.connect(site.port, headers=[(b"X-Forwarded-For", b"9.9.9.9")])
        assert site.loads() == [1] and gateway.statistics().relayed == 1
        assert "subscribe" in await client.ask(subscribe={"channel": "news"})
        assert gateway.statistics().relayed_bytes > 0
        await client.aclose()
        with trio.fail_after(5):
            while gateway.statistics().relayed or site.loads() != [0]:
                await trio.sleep(0.01)


async def test_an_unreachable_node_elsewhere_is_passed_over(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    options = {"nodes": (f"127.0.0.1:{nobody}",)}
    async with AsyncExitStack() as stack:
        node = await node_at(stack, directory, 1)
        gateway = await stack.enter_async_context(
            open_gateway(gateway_config(directory, strategy="round_robin", gateway=options))
        )
        site = Site(gateway, [node], directory)
        await site.settle(2)
        for _ in range(3):
            await site.connect()
        assert site.loads() == [3]
        for client in site.clients:
            await client.aclose()


async def test_draining_waits_for_relayed_clients_and_no_longer_than_told(
    directory: Path,
) -> None:
    async with AsyncExitStack() as stack:
        node = await node_at(stack, directory, 1)
        gateway = await stack.enter_async_context(
            open_gateway(gateway_config(None, gateway={"nodes": (node.addresses[0],)}))
        )
        site = Site(gateway, [node], directory)
        client = await Client.connect(site.port)
        began = trio.current_time()
        await gateway.drain(0.3)
        assert trio.current_time() - began >= 0.3
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", site.port)
        await client.aclose()
        with trio.fail_after(2):
            await gateway.drain(10)


async def test_a_new_strategy_is_taken_over_and_no_client_leaves(directory: Path) -> None:
    async with site_of(directory, 2, strategy="first") as site:
        for _ in range(4):
            await site.connect()
        assert sorted(site.loads()) == [0, 4]
        config = site.gateway.config
        wanted = evolve(config, balancer=evolve(config.balancer, strategy="round_robin"))
        await site.gateway.reload(lambda: wanted)
        for _ in range(4):
            await site.connect()
        assert sorted(site.loads()) == [2, 6]
        for client in site.clients:
            await client.ask(ping={})


async def test_a_faulty_configuration_changes_nothing(directory: Path) -> None:
    async with site_of(directory, 1, strategy="first") as site:

        def read() -> None:
            raise ConfigError("wsmesh.toml", ["balancer.strategy: unknown"])

        await site.gateway.reload(read)  # type: ignore[arg-type]  # it never returns
        assert site.gateway.config.balancer.strategy == "first"
        await site.connect()


async def test_the_gateway_reports_itself(directory: Path) -> None:
    path = f"{directory}/own.control"
    async with site_of(directory, 1, gateway={"control": path}) as site:
        gateway = site.gateway
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
            link.connect(path)
            from wsmesh.protocol.control import Report, decode

            report = decode(await trio.to_thread.run_sync(link.recv, 65536))
            assert isinstance(report, Report)
            assert report.is_ready and report.listeners == gateway.addresses
