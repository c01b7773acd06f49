"""TLS that ends at the gateway, or at the node; and PROXY headers in front of it."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from tests.gateway.conftest import Site, gateway_config, node_at, site_of
from tests.servers.certificates import Authority, make_authority
from wsmesh.config.sections import Listener
from wsmesh.gateway.gateway import open_gateway

TLS_LISTENER = (Listener(address="127.0.0.1:0", tls=True),)


def certified(tmp_path: Path) -> tuple[Authority, dict[str, str]]:
    authority = make_authority(tmp_path)
    return authority, {
        "certificate": str(authority.server.certificate), "key": str(authority.server.key)
    }


async def test_tls_ends_here_and_the_node_knows_that_the_client_is_secure(
    directory: Path, tmp_path: Path
) -> None:
    authority, tls = certified(tmp_path)
    # The origin is allowed only because the client speaks TLS.
    async with site_of(
        directory, 2, listeners=TLS_LISTENER, tls=tls, strategy="round_robin",
        node={"client": {"allowed_origins": ()}},
    ) as site:
        context = authority.client_context(with_certificate=False)
        for _ in range(2):
            await site.connect(tls=context, headers=[(b"Origin", b"https://localhost")])
        assert site.loads() == [1, 1]
        assert site.gateway.statistics().relayed == 2
        blob = "x" * 200_000
        subscribed = await site.clients[0].ask(subscribe={"channel": "c"})
        assert "error" not in subscribed
        for client in site.clients:
            reply = await client.ask(rpc={"method": "none", "data": blob[:60_000]})
            assert "error" in reply


async def test_tls_passes_through_to_a_node_with_the_certificate(
    directory: Path, tmp_path: Path
) -> None:
    authority, tls = certified(tmp_path)
    node_listeners = (Listener(address="127.0.0.1:0", tls=True),)
    async with site_of(
        directory, 2, listeners=TLS_LISTENER, tls=tls, strategy="round_robin",
        gateway={"tls": "pass"}, node={"tls": tls, "listeners": node_listeners},
    ) as site:
        context = authority.client_context(with_certificate=False)
        for _ in range(2):
            await site.connect(tls=context)
        assert site.loads() == [1, 1]
        assert site.gateway.statistics().relayed == 0


async def test_a_client_that_speaks_no_tls_ends_there(directory: Path, tmp_path: Path) -> None:
    _, tls = certified(tmp_path)
    async with site_of(directory, 1, listeners=TLS_LISTENER, tls=tls) as site:
        async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(5):
                while await stream.receive_some(4096):
                    pass
        assert site.nodes[0].statistics().sockets == 0
        with trio.fail_after(5):
            while site.gateway.statistics().arriving:
                await trio.sleep(0.01)


async def test_a_proxy_header_gives_the_clients_address(directory: Path) -> None:
    listeners = (Listener(address="127.0.0.1:0", proxy_protocol="required"),)
    async with AsyncExitStack() as stack:
        node = await node_at(stack, directory, 1)
        gateway = await stack.enter_async_context(
            open_gateway(
                gateway_config(
                    directory, listeners=listeners, proxy={"trusted_proxies": ("127.0.0.1",)}
                )
            )
        )
        site = Site(gateway, [node], directory)
        await site.settle(1)
        header = b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 80\r\n"
        async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
            # A stranger may not read metrics; somebody on this host may.
            await stream.send_all(header + b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 403 " in await stream.receive_some(4096)
        async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            with trio.fail_after(5):
                assert await stream.receive_some(4096) == b"", "no header, no answer"


def test_contexts_differ(tmp_path: Path) -> None:
    """The tests above verify the certificate, so a wrong one would fail them."""
    context = make_authority(tmp_path).client_context(with_certificate=False)
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


