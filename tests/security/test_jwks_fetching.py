"""The authenticator against a real HTTP server on loopback."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, suppress
from functools import partial

import jwt
import pytest
import trio
from attrs import define, field
from cryptography.hazmat.primitives import hashes
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from wsmesh.config.sections import ClientSection, SubscriptionTokenSection, TokenSection
from wsmesh.config.values import Secret
from wsmesh.errors import ConfigError, TokenError
from wsmesh.security.authenticator import Authenticator
from wsmesh.security.jwks import KeyNotHeld, KeysUnavailable
from wsmesh.security.jwks_fetch import DOCUMENT_BYTES, KeySetFetcher

ISSUER = "https://id.example/"
NOW = 1_700_000_000.0


@define
class KeyServer:
    """Answers every request with the bytes it is given, and counts them."""

    port: int = 0
    answer: bytes = b""
    requests: list[bytes] = field(factory=list)
    gate: trio.Event | None = None
    asked: trio.Event = field(factory=trio.Event)
    keeps_open: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    def publish(self, document: bytes, status: str = "200 OK", extra: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(document)}\r\n{extra}"
        self.answer = f"{head}connection: close\r\n\r\n".encode() + document

    async def serve(self, stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = await stream.receive_some()
            if not received:
                return
            head += received
        self.requests.append(head)
        self.asked.set()
        if self.gate is not None:
            await self.gate.wait()
        with suppress(trio.BrokenResourceError):
            await stream.send_all(self.answer)
        if self.keeps_open:
            await trio.sleep_forever()
        await stream.aclose()


@asynccontextmanager
async def open_key_server():
    server = KeyServer()
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        server.port = listeners[0].socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()


def published(ring, *kids):
    jwk = json.loads(RSAAlgorithm.to_jwk(ring.rsa.public_key()))
    return json.dumps({"keys": [jwk | {"kid": kid} for kid in kids]}).encode()


def signed_by(ring, kid, **claims):
    claims = {"sub": "42", "iss": ISSUER} | claims
    return jwt.encode(claims, ring.rsa, algorithm="RS256", headers={"kid": kid})


def authenticator_of(server, fetch=None):
    section = TokenSection(jwks_public_endpoint=server.url, issuer=ISSUER)
    return Authenticator(ClientSection(token=section), fetch=fetch)


async def authenticated(authenticator, token, now=NOW):
    try:
        return authenticator.connection(token, now)
    except KeyNotHeld as missing:
        await authenticator.fetch_key(missing)
    return authenticator.connection(token, now)


async def test_a_key_is_fetched_once_and_then_used_without_waiting(ring):
    async with open_key_server() as server:
        server.publish(published(ring, "k1"))
        authenticator = authenticator_of(server)
        assert (await authenticated(authenticator, signed_by(ring, "k1"))).user == "42"
        assert authenticator.connection(signed_by(ring, "k1"), NOW + 3000).user == "42"
        token = signed_by(ring, "k1", channel="news")
        assert authenticator.subscription(token, NOW + 3000).channel == "news"
        assert len(server.requests) == 1
        assert server.requests[0].startswith(b"GET /keys HTTP/1.1\r\n")


async def test_ten_thousand_random_kids_cost_one_fetch(ring):
    async with open_key_server() as server:
        server.publish(published(ring, "k1"))
        authenticator = authenticator_of(server)
        token = signed_by(ring, "k1")
        payload_and_signature = token.split(".", 1)[1]
        refused = 0
        for n in range(10_000):
            head = jwt.utils.base64url_encode(b'{"alg":"RS256","kid":"r%d"}' % n).decode()
            try:
                await authenticated(authenticator, f"{head}.{payload_and_signature}", NOW + n / 200)
            except TokenError:
                refused += 1
        assert (refused, len(server.requests)) == (10_000, 1)
        assert authenticator.connection(token, NOW + 50).user == "42"


async def test_clients_that_come_together_share_a_fetch(ring):
    async with open_key_server() as server:
        server.publish(published(ring, "k1"))
        server.gate = trio.Event()
        authenticator = authenticator_of(server)
        users = []

        async def connect(n):
            users.append(
                (await authenticated(authenticator, signed_by(ring, "k1", sub=str(n)))).user
            )

        async with trio.open_nursery() as nursery:
            for n in range(50):
                nursery.start_soon(connect, n)
            await server.asked.wait()
            server.gate.set()
        assert sorted(users, key=int) == [str(n) for n in range(50)]
        assert len(server.requests) == 1


async def test_a_client_that_leaves_does_not_take_the_fetch_along(ring):
    async with open_key_server() as server:
        server.publish(published(ring, "k1"))
        server.gate = trio.Event()
        authenticator = authenticator_of(server)
        with trio.CancelScope() as leaving:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(authenticated, authenticator, signed_by(ring, "k1"))
                await server.asked.wait()
                leaving.cancel()
                server.gate.set()
        assert leaving.cancelled_caught
        assert authenticator.connection(signed_by(ring, "k1"), NOW).user == "42"
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("document", "status", "extra"),
    [
        (b"{}", "200 OK", ""),
        (b'{"keys": []}', "500 Internal Server Error", ""),
        (b"", "302 Found", "location: /keys\r\n"),
        (b" " * (DOCUMENT_BYTES + 1), "200 OK", ""),
    ],
)
async def test_a_bad_answer_is_no_verdict_on_the_token(ring, document, status, extra):
    async with open_key_server() as server:
        server.publish(document, status, extra)
        authenticator = authenticator_of(server)
        with pytest.raises(KeysUnavailable):
            await authenticated(authenticator, signed_by(ring, "k1"))
        with pytest.raises(KeysUnavailable):
            await authenticated(authenticator, signed_by(ring, "k1"), NOW + 1)
        assert len(server.requests) == 1
        server.publish(published(ring, "k1"))
        assert (await authenticated(authenticator, signed_by(ring, "k1"), NOW + 5)).user == "42"


async def test_no_server_is_no_verdict_on_the_token(ring):
    async with open_key_server() as server:
        authenticator = authenticator_of(server)
    with pytest.raises(KeysUnavailable):
        await authenticated(authenticator, signed_by(ring, "k1"))


async def test_a_document_of_the_greatest_size_is_read():
    async with open_key_server() as server:
        server.publish(b" " * DOCUMENT_BYTES)
        assert len(await KeySetFetcher()(server.url)) == DOCUMENT_BYTES


async def test_reading_stops_at_the_limit_however_much_is_announced():
    async with open_key_server() as server:
        server.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n"
        server.answer += b" " * (DOCUMENT_BYTES + 1)
        server.keeps_open = True
        with trio.fail_after(3), pytest.raises(KeysUnavailable, match="more than"):
            await KeySetFetcher()(server.url)


async def test_who_missed_the_key_before_it_came_does_not_fetch_again(ring):
    async with open_key_server() as server:
        server.publish(published(ring, "k1"))
        authenticator = authenticator_of(server)
        with pytest.raises(KeyNotHeld) as early:
            authenticator.connection(signed_by(ring, "k1"), NOW)
        await authenticated(authenticator, signed_by(ring, "k1"))
        await authenticator.fetch_key(early.value)
        assert len(server.requests) == 1


async def test_a_fetched_key_verifies_only_by_its_own_algorithms(ring, forge):
    jwk = json.loads(ECAlgorithm.to_jwk(ring.p256.public_key())) | {"kid": "k1"}

    async def fetch(_):
        await trio.lowlevel.checkpoint()
        return json.dumps({"keys": [jwk]}).encode()

    authenticator = authenticator_of(KeyServer(port=1), fetch=fetch)
    claims, sign = {"sub": "42", "iss": ISSUER}, forge.ecdsa(ring.p256, hashes.SHA256())
    token = forge.token({"alg": "ES256", "kid": "k1"}, claims, sign)
    assert (await authenticated(authenticator, token)).user == "42"
    for other in ("RS256", "ES384", "EdDSA"):
        with pytest.raises(TokenError):
            authenticator.connection(forge.token({"alg": other, "kid": "k1"}, claims, sign), NOW)


async def test_a_fetch_that_hangs_ends_after_five_seconds(ring, autojump_clock):
    async def fetch(_):
        await trio.sleep_forever()

    authenticator = authenticator_of(KeyServer(port=1), fetch=fetch)
    began = trio.current_time()
    with pytest.raises(KeysUnavailable):
        await authenticated(authenticator, signed_by(ring, "k1"))
    assert trio.current_time() - began == 5.0


async def test_a_token_of_another_issuer_is_refused_although_its_key_is_held(ring):
    async def fetch(_):
        await trio.lowlevel.checkpoint()
        return published(ring, "k1")

    authenticator = authenticator_of(KeyServer(port=1), fetch=fetch)
    with pytest.raises(TokenError, match="issuer"):
        await authenticated(authenticator, signed_by(ring, "k1", iss=ISSUER + "x"))


async def test_a_symmetric_token_never_causes_a_fetch(ring):
    async with open_key_server() as server:
        authenticator = authenticator_of(server)
        token = jwt.encode({"sub": "1"}, "x" * 32, algorithm="HS256", headers={"kid": "k1"})
        with pytest.raises(TokenError) as caught:
            await authenticated(authenticator, token)
        assert not isinstance(caught.value, KeyNotHeld)
        assert server.requests == []


def test_separate_subscription_keys_are_separate(forge):
    client = ClientSection(
        token=TokenSection(hmac_secret_key=Secret("c" * 32)),
        subscription_token=SubscriptionTokenSection(enabled=True, hmac_secret_key=Secret("s" * 32)),
    )
    authenticator = Authenticator(client)
    by_connection_key = forge.token({"alg": "HS256"}, {"channel": "a"}, forge.hs256(b"c" * 32))
    by_subscription_key = forge.token({"alg": "HS256"}, {"channel": "a"}, forge.hs256(b"s" * 32))
    assert authenticator.subscription(by_subscription_key, NOW).channel == "a"
    with pytest.raises(TokenError):
        authenticator.subscription(by_connection_key, NOW)
    with pytest.raises(TokenError):
        authenticator.connection(by_subscription_key, NOW)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"jwks_public_endpoint": "https://id.example/k"}, "issuer"),
        ({"jwks_public_endpoint": "http://id.example/k", "issuer": "a"}, "https"),
        ({"jwks_public_endpoint": "file:///etc/passwd", "issuer": "a"}, "https"),
        ({"jwks_public_endpoint": "https://", "issuer": "a"}, "https"),
        ({"jwks_public_endpoint": "http://[x/", "issuer": "a"}, "https"),
        ({"jwks_public_endpoint": "https://a/k", "issuer": "a",
          "hmac_secret_key": Secret("x" * 32)}, "no other keys"),
    ],
)  # fmt: skip
def test_an_unsafe_or_incomplete_key_set_is_refused_at_start(options, complaint):
    with pytest.raises(ConfigError, match=f"jwks_public_endpoint.*{complaint}"):
        Authenticator(ClientSection(token=TokenSection(**options)))


def test_two_urls_for_one_issuer_are_refused_at_start():
    client = ClientSection(
        token=TokenSection(jwks_public_endpoint="https://a/1", issuer=ISSUER),
        subscription_token=SubscriptionTokenSection(
            enabled=True, jwks_public_endpoint="https://a/2", issuer=ISSUER
        ),
    )
    with pytest.raises(ConfigError, match=r"client\.subscription_token\.jwks_public_endpoint"):
        Authenticator(client)
