"""The server's side of the opening handshake (RFC 6455 section 4.2)."""

from __future__ import annotations

import binascii
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha1

from attrs import frozen

from wsmesh.config.sections import CompressionSection
from wsmesh.wire.deflate import DeflateParameters, negotiate
from wsmesh.wire.extension import parse_offers, parse_subprotocols
from wsmesh.wire.request import BadRequest, Request

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16


@frozen
class Handshake:
    """An accepted upgrade.

    :ivar response: the 101 answer; what is sent after it are frames.
    :ivar deflate: what was agreed on compression, None: there is none.
    :ivar subprotocol: the agreed one, None: there is none.
    """

    response: bytes
    deflate: DeflateParameters | None
    subprotocol: str | None


def accept(
    request: Request, *, compression: CompressionSection, subprotocols: Sequence[str],
    headers: Sequence[tuple[str, str]] = (),
) -> Handshake:
    """Return the answer to a WebSocket upgrade.

    :param subprotocols: those that the server speaks; the client's order of preference decides.
    :param headers: further fields of the answer, from somebody trusted.
    :raises BadRequest: it is no valid upgrade: 405 another method than GET, 426 another version
        of WebSocket, 400 the rest.
    """
    _check(request)
    key = _key(request)
    offers = parse_offers(request.header_values("sec-websocket-extensions"))
    wanted = parse_subprotocols(request.header_values("sec-websocket-protocol"))
    deflate = negotiate(offers, compression)
    subprotocol = next((name for name in wanted if name in subprotocols), None)
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if deflate is not None:
        lines.append(f"Sec-WebSocket-Extensions: {deflate.header}")
    lines += [f"{name}: {value}" for name, value in headers]
    return Handshake("\r\n".join((*lines, "", "")).encode("ascii"), deflate, subprotocol)


def accept_key(key: str) -> str:
    """Return the Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 section 4.2.2)."""
    digest = sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return b64encode(digest).decode("ascii")


def _check(request: Request) -> None:
    if request.method != "GET":
        raise BadRequest(405, "expected GET", headers=(("Allow", "GET"),))
    if not request.is_upgrade:
        if "websocket" not in request.tokens("upgrade"):
            raise BadRequest(400, "expected Upgrade: websocket")
        raise BadRequest(400, "expected Connection: Upgrade")
    versions = request.header_values("sec-websocket-version")
    if len(versions) != 1:
        raise BadRequest(400, "expected one Sec-WebSocket-Version")
    if versions[0] != "13":
        raise BadRequest(
            426,
            "expected Sec-WebSocket-Version: 13",
            headers=(("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")),
        )


def _key(request: Request) -> str:
    keys = request.header_values("sec-websocket-key")
    if len(keys) == 1 and keys[0].isascii():
        try:
            decoded = binascii.a2b_base64(keys[0], strict_mode=True)
        except binascii.Error:
            decoded = b""
        if len(decoded) == _KEY_BYTES:
            return keys[0]
    raise BadRequest(400, "expected one Sec-WebSocket-Key of 16 bytes")
