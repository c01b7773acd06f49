"""JSON codec of the client protocol: frames to commands, replies and pushes to bytes."""

from __future__ import annotations

from enum import IntEnum

import msgspec
from msgspec import Raw

from wsmesh.protocol.messages import Command, ConnectRequest, Publication, Push, Reply

_decode_command = msgspec.json.Decoder(Command).decode
_decode_connect = msgspec.json.Decoder(ConnectRequest).decode
_encode = msgspec.json.Encoder().encode

PING = b"{}"
"""A server ping, and a client's pong: the empty message."""


class Form(IntEnum):
    """How one connection wants its messages."""

    BIDIRECTIONAL = 0
    """Replies; pushes wrapped as `{"push": ...}`."""
    UNIDIRECTIONAL = 1
    """Pushes as they are."""
    BARE = 2
    """Publications' data alone."""


# Looking a member up in its class takes longer than encoding a small message.
_BIDIRECTIONAL, _BARE = Form.BIDIRECTIONAL, Form.BARE


class MalformedCommand(ValueError):
    """The bytes are not a command of the protocol."""


def decode_command(line: bytes) -> Command:
    """Decode one command.

    :raises MalformedCommand: not JSON, or not of the declared shape; the message names the field.
    """
    try:
        return _decode_command(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedCommand(str(error)) from error


def decode_connect(line: bytes) -> ConnectRequest:
    """Decode the first message of a unidirectional client: a bare connect request.

    :raises MalformedCommand: see `decode_command`.
    """
    try:
        return _decode_connect(line)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedCommand(str(error)) from error


def encode_reply(reply: Reply) -> bytes:
    """Encode a reply."""
    return _encode(reply)


def encode_push(push: Push, form: Form) -> bytes:
    """Encode a push for connections of `form`; empty when that form does not carry it."""
    if form is Form.BIDIRECTIONAL:
        return _encode(Reply(push=push))
    if form is Form.UNIDIRECTIONAL:
        return _encode(push)
    return bytes(push.pub.data) if push.pub is not None else b""


def encode_publication(channel: bytes, publication: Publication, form: Form) -> bytes:
    """Encode a publication push.

    :param channel: the channel's name, already a JSON string.
    """
    if form is _BIDIRECTIONAL:
        return b'{"push":{"channel":%b,"pub":%b}}' % (channel, _encode(publication))
    if form is _BARE:
        return bytes(publication.data)
    return b'{"channel":%b,"pub":%b}' % (channel, _encode(publication))


def json_string(text: str) -> bytes:
    """Return `text` as a JSON string."""
    return _encode(text)


def raw(value: object) -> Raw:
    """Return `value` as embedded JSON."""
    return Raw(_encode(value))


def is_json(text: bytes) -> bool:
    """Whether `text` is one JSON value."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True
