"""What a shard channel carries and a stream entry holds. Pure.

A message is a kind, a space, and what the kind says:

* `p <epoch> <offset> <publication>`: a publication of a channel with history;
* `n <publication>`: one without a position;
* `j <client>`, `l <client>`: a join, a leave;
* `c <number>`: a canary.

Publications and clients are JSON as the client protocol writes them. Nodes of the release before
and after share a cluster, so kinds that are not known are skipped, and so are fields.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

import msgspec

from wsmesh.protocol.messages import ClientInfo, Publication

MOST_OFFSET = 2**53 - 1
"""Up to which Lua counts exactly; 9,000 years at 30,000 publications a second."""

_encode = msgspec.json.Encoder().encode
_publication = msgspec.json.Decoder(Publication).decode
_client = msgspec.json.Decoder(ClientInfo).decode
_offset = re.compile(rb"[1-9][0-9]{0,15}").fullmatch
_epoch = re.compile(rb"[A-Za-z0-9]+").fullmatch

_UNREADABLE = (msgspec.DecodeError, ValueError, RecursionError)


class Kind(Enum):
    """What a message is."""

    PUBLICATION = auto()
    JOIN = auto()
    LEAVE = auto()
    UNKNOWN = auto()
    """Of a later release: skip it."""
    GARBAGE = auto()
    """Of no release."""


Opened = tuple[Kind, str, int, Any]
"""Kind, epoch and offset (empty and 0 without a position), and the publication or the client."""

_UNKNOWN: Opened = (Kind.UNKNOWN, "", 0, None)
_GARBAGE: Opened = (Kind.GARBAGE, "", 0, None)


def pack_publication(publication: Publication) -> bytes:
    """Return a publication as streams hold it; its offset is their key, not part of it."""
    if publication.offset:
        publication = msgspec.structs.replace(publication, offset=0)
    return _encode(publication)


def without_position(publication: Publication) -> bytes:
    """Return the message for a publication that is not stored."""
    return b"n " + pack_publication(publication)


def join_or_leave(info: ClientInfo, joined: bool) -> bytes:
    """Return the message that announces a client."""
    return (b"j " if joined else b"l ") + _encode(info)


def open_message(message: bytes) -> Opened:
    """Return what a message says; never raises, whatever the bytes are."""
    kind = message[:2]
    try:
        if kind == b"p ":
            _, epoch, offset, body = message.split(b" ", 3)
            if _offset(offset) is None or _epoch(epoch) is None:
                return _GARBAGE
            publication = _publication(body)
            publication.offset = number = int(offset)
            return Kind.PUBLICATION, epoch.decode(), number, publication
        if kind == b"n ":
            publication = _publication(message[2:])
            publication.offset = 0
            return Kind.PUBLICATION, "", 0, publication
        if kind == b"j ":
            return Kind.JOIN, "", 0, _client(message[2:])
        if kind == b"l ":
            return Kind.LEAVE, "", 0, _client(message[2:])
    except _UNREADABLE:
        return _GARBAGE
    return _UNKNOWN if message[1:2] == b" " and kind[:1].isalpha() else _GARBAGE


def open_entries(entries: Sequence[Any]) -> tuple[Publication, ...]:
    """Return the publications of stream entries, in their order.

    :raises ValueError: an entry is not one of ours.
    """
    publications = []
    for name, fields in entries:
        offset, _, sequence = name.partition(b"-")
        if sequence != b"0" or _offset(offset) is None or len(fields) != 2 or fields[0] != b"p":
            raise ValueError("an entry that no node wrote")
        try:
            publication = _publication(fields[1])
        except _UNREADABLE as error:
            raise ValueError(f"entry {int(offset)}: {error}") from error
        publication.offset = int(offset)
        publications.append(publication)
    return tuple(publications)


def pack_client(info: ClientInfo) -> bytes:
    """Return a client as presence holds it."""
    return _encode(info)


def open_presence(entry: bytes) -> ClientInfo | None:
    """Return the client of a presence entry (`scripts/presence_clock.lua`), None of garbage."""
    _, newline, rest = entry.partition(b"\n")
    return open_client(rest[1:]) if newline and rest[:1] in (b"0", b"1") else None


def open_client(packed: bytes) -> ClientInfo | None:
    """Return what `pack_client` packed, None of garbage."""
    try:
        return _client(packed)
    except _UNREADABLE:
        return None
