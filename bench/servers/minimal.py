"""The least a server must do to take part in the exchange: connect, subscribe, publish.

Used by the reference servers in Python, so that all of them parse and build the same JSON with the
same fast codec, and only the WebSocket stack differs.
"""

from __future__ import annotations

import msgspec


class Publish(msgspec.Struct):
    """A message for a channel."""

    channel: str
    data: msgspec.Raw


class Command(msgspec.Struct):
    """What the load generator sends."""

    id: int
    connect: dict[str, str] | None = None
    subscribe: dict[str, str] | None = None
    publish: Publish | None = None


class Publication(msgspec.Struct):
    """What a subscriber gets."""

    data: msgspec.Raw


class Push(msgspec.Struct):
    """A publication with its channel."""

    channel: str
    pub: Publication


class PushEnvelope(msgspec.Struct):
    """A push as a message."""

    push: Push


decode = msgspec.json.Decoder(Command).decode
encode = msgspec.json.Encoder().encode


def answer(message: str | bytes) -> list[str]:
    """The messages to send back, a publication before its reply."""
    command = decode(message)
    if command.publish is not None:
        push = Push(command.publish.channel, Publication(command.publish.data))
        reply = {"id": command.id, "publish": {}}
        return [encode(PushEnvelope(push)).decode(), encode(reply).decode()]
    if command.connect is not None:
        return [encode({"id": command.id, "connect": {"client": "1", "version": "0"}}).decode()]
    return [encode({"id": command.id, "subscribe": {}}).decode()]
