"""Listeners: several addresses, IPv6, Unix sockets, TLS with reload, PROXY headers, forwarding."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ingress.conftest import Opened, Peer, peer, tcp_stream
from wsmesh.config.sections import Listener, TLSSection
from wsmesh.config.values import Seconds
from wsmesh.errors import ConfigError
from wsmesh.serving import Node


async def exchange(client: Peer, channel: str = "c") -> None:
    """Subscribe, publish, and get the publication."""
    assert "subscribe" in await client.ask(subscribe={"channel": channel})
    assert "publish" in await client.ask(publish={"channel": channel, "data": "x" * 40_000})
    assert (await client.next_push())["pub"]["data"] == "x" * 40_000


def write_certificate(folder: Path, serial: int) -> ssl.SSLContext:
    """Write cert.pem and key.pem for localhost; return a client's context that trusts them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(serial)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return ssl.create_default_context(cadata=pem.decode())


async def test_one_node_listens_on_several_addresses(opened: Opened, tmp_path: Path) -> None:
    listeners = (
        Listener(address="127.0.0.1:0"),
        Listener(address="[::1]:0"),
        Listener(address=f"unix:{tmp_path}/node.sock"),
    )
    async with opened(listeners=listeners) as node:
        for which in range(3):
            async with peer(node, which=which) as client:
                await exchange(client, f"c{which}")
    assert not (tmp_path / "node.sock").exists()


async def test_two_nodes_share_a_port_with_reuse_port(opened: Opened) -> None:
    first = Listener(address="127.0.0.1:0", reuse_port=True)
    async with opened(listeners=(first,)) as node:
        second = Listener(address=node.addresses[0], reuse_port=True)
        async with opened(listeners=(second,)) as other:
            assert other.addresses == node.addresses


async def test_a_port_in_use_is_a_clear_fault(opened: Opened) -> None:
    async with opened() as node:
        taken = Listener(address=node.addresses[0])
        with pytest.raises(ConfigError, match="in use"):
            async with opened(listeners=(taken,)):
                pass


async def test_a_socket_file_of_a_dead_process_is_replaced(opened: Opened, tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with opened(listeners=(Listener(address=f"unix:{path}"),)) as node:
        async with peer(node) as client:
            await exchange(client)


async def test_tls_connections_work_and_get_a_renewed_certificate(
    opened: Opened, tmp_path: Path
) -> None:
    trusting = write_certificate(tmp_path, 1)
    tls = TLSSection(
        certificate=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem"),
        reload_interval=Seconds(0.05),
    )
    listener = Listener(address="127.0.0.1:0", tls=True)
    async with opened(listeners=(listener,), tls=vars_of(tls)) as node:
        async with peer(node, tls=trusting) as old:
            await exchange(old)
            renewed = write_certificate(tmp_path, 2)
            with trio.fail_after(10):
                while True:
                    try:
                        async with peer(node, tls=renewed) as client:
                            await exchange(client, "d")
                        break
                    except trio.BrokenResourceError:
                        await trio.sleep(0.05)
            assert "publish" in await old.ask(publish={"channel": "c", "data": 1})


def vars_of(section: TLSSection) -> dict[str, object]:
    return {
        "certificate": section.certificate, "key": section.key,
        "reload_interval": section.reload_interval,
    }


async def test_old_tls_versions_are_refused(opened: Opened, tmp_path: Path) -> None:
    trusting = write_certificate(tmp_path, 1)
    trusting.minimum_version = trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    section = {
        "certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem"),
        "minimum_version": "1.3",
    }
    async with opened(
        listeners=(Listener(address="127.0.0.1:0", tls=True),), tls=section
    ) as node:
        async with await tcp_stream(node) as plain:
            stream = trio.SSLStream(plain, trusting, server_hostname="localhost")
            with pytest.raises(trio.BrokenResourceError):
                await stream.do_handshake()


async def test_a_tls_listener_without_certificate_is_a_clear_fault(
    opened: Opened, tmp_path: Path
) -> None:
    section = {"certificate": str(tmp_path / "none.pem"), "key": str(tmp_path / "none.key")}
    with pytest.raises(ConfigError, match="cannot read"):
        async with opened(listeners=(Listener(tls=True),), tls=section):
            pass


async def test_a_required_proxy_header_names_the_client(opened: Opened) -> None:
    listener = Listener(address="127.0.0.1:0", proxy_protocol="required")
    proxy = {"trusted_proxies": ("127.0.0.0/8",), "header_timeout": Seconds(0.2)}
    async with opened(
        listeners=(listener,), proxy=proxy,
        limits={"max_connections_per_ip": 1, "loopback_exempt": False},
    ) as node:
        first = b"PROXY TCP4 203.0.113.7 127.0.0.1 4000 80\r\n"
        other = b"PROXY TCP4 203.0.113.8 127.0.0.1 4000 80\r\n"
        async with peer(node, before=first) as one:
            await exchange(one)
            async with peer(node, before=other) as two:
                await exchange(two, "d")
            assert b" 429 " in await answer_to(node, first + handshake())


async def test_a_missing_or_untrusted_proxy_header_closes_the_connection(opened: Opened) -> None:
    listener = Listener(address="127.0.0.1:0", proxy_protocol="required")
    for trusted, sent in (
        (("127.0.0.0/8",), handshake()),
        (("127.0.0.0/8",), b""),
        (("10.0.0.0/8",), b"PROXY TCP4 203.0.113.7 127.0.0.1 4000 80\r\n"),
    ):
        proxy = {"trusted_proxies": trusted, "header_timeout": Seconds(0.1)}
        async with opened(listeners=(listener,), proxy=proxy) as node:
            assert await answer_to(node, sent) == b""


async def test_a_proxy_header_where_none_is_expected_is_a_bad_request(opened: Opened) -> None:
    async with opened() as node:
        header = b"PROXY TCP4 203.0.113.7 127.0.0.1 4000 80\r\n"
        assert (await answer_to(node, header + handshake())).startswith(b"HTTP/1.1 400 ")


async def test_forwarded_addresses_count_only_from_trusted_proxies(opened: Opened) -> None:
    limits = {"max_connections_per_ip": 1, "loopback_exempt": False}
    spoofed = [(b"X-Forwarded-For", b"203.0.113.1")]
    other = [(b"X-Forwarded-For", b"203.0.113.2")]
    async with opened(limits=limits, proxy={"trusted_proxies": ("127.0.0.0/8",)}) as node:
        async with peer(node, headers=spoofed), peer(node, headers=other):
            pass
    async with opened(limits=limits) as node:
        async with peer(node, headers=spoofed):
            other_address = handshake(b"X-Forwarded-For: 203.0.113.2\r\n")
            assert b" 429 " in await answer_to(node, other_address)


async def answer_to(node: Node, sent: bytes) -> bytes:
    """Send bytes on a new connection; return what comes back first, empty when it is closed."""
    async with await tcp_stream(node) as stream:
        if sent:
            await stream.send_all(sent)
        with trio.fail_after(5):
            try:
                return bytes(await stream.receive_some())
            except trio.BrokenResourceError:
                return b""


def handshake(extra: bytes = b"", path: bytes = b"/connection/websocket") -> bytes:
    """Return the request of a WebSocket client."""
    return (
        b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + extra + b"\r\n"
    )
