"""The client's own dialler over real loopback sockets: TCP, TLS, and peers that are not there."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from trio_websocket import ConnectionClosed, serve_websocket

from wsmesh.client import Backoff, Connecting, NotConnected, open_client

QUICK = Backoff(minimum=0.01, maximum=0.05)


@pytest.fixture(autouse=True)
async def nothing_hangs():
    with trio.fail_after(10):
        yield


async def answer_everything(request):
    """A node in few lines: every command succeeds with an empty result."""
    ws = await request.accept()
    try:
        while True:
            for line in (await ws.get_message()).split("\n"):
                command = json.loads(line)
                kind = next(key for key in command if key != "id")
                result = {"client": request.path} if kind == "connect" else {}
                await ws.send_message(json.dumps({"id": command["id"], kind: result}))
    except ConnectionClosed:
        return


@asynccontextmanager
async def open_server(tls=None, host="127.0.0.1"):
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, answer_everything, host, 0, tls)
        server = await nursery.start(serve)
        yield server.port
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a file with a key and a certificate for 127.0.0.1 that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node.test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "node.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(private + signed.public_bytes(pem))
    return path


@pytest.fixture
def server_tls(certificate):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_plain_sockets_carry_path_and_query():
    async with (
        open_server() as port,
        open_client(f"ws://127.0.0.1:{port}/connection/websocket?cf=1") as client,
        client.subscribe("chat"),
    ):
        await client.publish("chat", {"n": 1})
        assert "/connection/websocket?cf=1" == client.client_id


async def test_a_trusted_certificate_opens_tls(certificate, server_tls):
    trust = ssl.create_default_context(cafile=certificate)
    async with (
        open_server(server_tls) as port,
        open_client(f"wss://127.0.0.1:{port}/", tls=trust) as client,
    ):
        await client.publish("chat", {"n": 1})


async def test_a_certificate_nobody_signed_is_not_talked_to(server_tls):
    async with (
        open_server(server_tls) as port,
        open_client(f"wss://127.0.0.1:{port}/", backoff=QUICK) as client,
    ):
        with pytest.raises(NotConnected, match="certificate verify failed"):
            await client.wait_connected(within=0.5)


async def test_a_refused_connection_is_tried_again_until_somebody_listens():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    seen = []
    url = f"ws://127.0.0.1:{port}/"
    async with open_client(url, backoff=QUICK, observe=seen.append) as client:
        with pytest.raises(NotConnected, match="cannot connect"):
            await client.wait_connected(within=0.3)
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, answer_everything, "127.0.0.1", port, None)
            await nursery.start(serve)
            await client.publish("chat", 1)
            nursery.cancel_scope.cancel()
    assert 3 < sum(isinstance(event, Connecting) for event in seen)
