"""What clients say to each kind of server, as bytes, and which bytes show that it answered.

A script is a sequence of steps: send these bytes, wait until those appear. The measured loops only
look for such marks; `check` parses in full, for a sample outside the measured time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from bench.load.frames import TEXT, client_frame, split_frames, upgrade_request

HOUR = 3600


@frozen
class Step:
    """Send `request`, then wait until `answer` is among the received bytes."""

    request: bytes
    answer: bytes


class Dialect(Protocol):
    """The bytes of one kind of server.

    `marks` are in a publication and in the reply of its publisher; `goodbye` is a close frame.
    """

    @property
    def ping(self) -> bytes: ...

    @property
    def pong(self) -> bytes: ...

    @property
    def marks(self) -> tuple[bytes, bytes]: ...

    @property
    def goodbye(self) -> bytes: ...

    def script(self, user: str, channels: Sequence[str]) -> list[Step]: ...

    def publish(self, channel: str, data: str) -> bytes: ...

    def subscribe(self, channel: str) -> bytes: ...

    def check(self, received: bytes, channel: str, data: str) -> None: ...


def hs256_token(secret: str, user: str, expires_at: int) -> str:
    """A connection JWT (RFC 7519) for `user`."""

    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    head = part(b'{"alg":"HS256","typ":"JWT"}')
    body = part(json.dumps({"sub": user, "exp": expires_at}, separators=(",", ":")).encode())
    signature = hmac.new(secret.encode(), head + b"." + body, hashlib.sha256).digest()
    return (head + b"." + body + b"." + part(signature)).decode()


def command(number: int, **request: object) -> bytes:
    """A command of the Centrifugo protocol as JSON."""
    return json.dumps({"id": number, **request}, separators=(",", ":")).encode()


@frozen
class Centrifugo:
    """The Centrifugo client protocol v2 in JSON; also spoken by our minimal reference servers."""

    host: str
    path: str = "/connection/websocket"
    secret: str = ""
    now: int = 0
    ping: bytes = b"\x81\x02{}"
    pong: bytes = client_frame(b"{}")
    marks: tuple[bytes, bytes] = (b'"pub":', b'"publish":')
    goodbye: bytes = client_frame(b"\x03\xe8", 0x8)

    def script(self, user: str, channels: Sequence[str]) -> list[Step]:
        token = {"token": hs256_token(self.secret, user, self.now + HOUR)} if self.secret else {}
        steps = [
            Step(upgrade_request(self.host, self.path.format(user=user)), b"\r\n\r\n"),
            Step(client_frame(command(1, connect=token)), b'"connect":'),
        ]
        return steps + [Step(self.subscribe(name), b'"subscribe":') for name in channels]

    def subscribe(self, channel: str) -> bytes:
        return client_frame(command(2, subscribe={"channel": channel}))

    def publish(self, channel: str, data: str) -> bytes:
        return client_frame(command(3, publish={"channel": channel, "data": data}))

    def check(self, received: bytes, channel: str, data: str) -> None:
        """Raise `ValueError` unless this is exactly one publication and one reply."""
        frames, rest = split_frames(received)
        lines = [line for op, body in frames if op == TEXT for line in body.split(b"\n") if line]
        messages = [message for message in map(json.loads, lines) if message != {}]
        pushes = [m["push"] for m in messages if "push" in m]
        replies = [m for m in messages if "id" in m]
        right = (
            not rest
            and [(p["channel"], p["pub"]["data"]) for p in pushes] == [(channel, data)]
            and [(r["id"], "publish" in r) for r in replies] == [(3, True)]
        )
        if not right:
            raise ValueError(f"expected one publication and one reply, found {received!r}")


@frozen
class SocketIO:
    """Socket.IO 4 over Engine.IO's websocket transport: an event with an acknowledgement."""

    host: str
    ping: bytes = b"\x81\x012"
    pong: bytes = client_frame(b"3")
    marks: tuple[bytes, bytes] = (b'42["publication"', b"431[")
    goodbye: bytes = client_frame(b"\x03\xe8", 0x8)

    def script(self, user: str, channels: Sequence[str]) -> list[Step]:
        path = "/socket.io/?EIO=4&transport=websocket"
        return [
            Step(upgrade_request(self.host, path), b'"sid"'),
            Step(client_frame(b"40"), b'40{"sid"'),
        ]

    def subscribe(self, channel: str) -> bytes:
        raise NotImplementedError("the reference echoes to its sender, it has no channels")

    def publish(self, channel: str, data: str) -> bytes:
        event = ["publish", {"channel": channel, "data": data}]
        return client_frame(b"421" + json.dumps(event, separators=(",", ":")).encode())

    def check(self, received: bytes, channel: str, data: str) -> None:
        """Raise `ValueError` unless this is exactly one event and one acknowledgement."""
        frames, rest = split_frames(received)
        packets = sorted(body for _, body in frames)
        message = {"channel": channel, "data": data}
        event = b"42" + json.dumps(["publication", message], separators=(",", ":")).encode()
        if rest or packets != [event, b"431[{}]"]:
            raise ValueError(f"expected one event and one acknowledgement, found {received!r}")


@frozen
class RawTCP:
    """Bare sockets that only receive: the reference of the fan-out; `+` tells they are accepted."""

    ping: bytes = b"\x81\x02{}"
    pong: bytes = b""
    marks: tuple[bytes, bytes] = (b'"pub":', b"")
    goodbye: bytes = b""

    def script(self, user: str, channels: Sequence[str]) -> list[Step]:
        return [Step(b"", b"+")]

    def subscribe(self, channel: str) -> bytes:
        raise NotImplementedError("bare sockets have no channels")

    def publish(self, channel: str, data: str) -> bytes:
        return b"p"

    def check(self, received: bytes, channel: str, data: str) -> None:
        return None
