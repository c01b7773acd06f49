"""Lists in handshake headers: extension offers and subprotocols (RFC 6455 sections 9.1 and 4.1).

Every pattern is possessive or cannot overlap with its neighbour, so parsing is linear in the input.
"""

from __future__ import annotations

import re

from attrs import frozen

from wsmesh.wire.request import BadRequest

MAX_OFFERS = 16
MAX_SUBPROTOCOLS = 32

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_BLANK = re.compile(r"[ \t,]*+")
_PIECE = re.compile(
    rf"""[ \t]*+ ({_TOKEN}) [ \t]*+
    (?: = [ \t]*+ (?: ({_TOKEN}) | "((?: [^"\\] | \\. )*+)" ) [ \t]*+ )?+
    ( [;,] | \Z )""",
    re.VERBOSE,
)
_NAME = re.compile(_TOKEN)


@frozen
class Offer:
    """One extension a client offers, its parameters in order, repeated ones included."""

    name: str
    parameters: tuple[tuple[str, str | None], ...] = ()


def parse_offers(values: list[str]) -> list[Offer]:
    """Return the offers of all Sec-WebSocket-Extensions fields in order of preference.

    :raises BadRequest: the list is malformed or has more than `MAX_OFFERS` offers.
    """
    text = ",".join(values)
    offers: list[Offer] = []
    at = _skip_blank(text, 0)
    while at < len(text):
        if len(offers) == MAX_OFFERS:
            raise BadRequest(400, "too many extension offers", "extension_offers")
        offer, at = _parse_offer(text, at)
        offers.append(offer)
        at = _skip_blank(text, at)
    return offers


def _parse_offer(text: str, at: int) -> tuple[Offer, int]:
    name = ""
    parameters: list[tuple[str, str | None]] = []
    while True:
        piece = _PIECE.match(text, at)
        if piece is None:
            raise BadRequest(400, "malformed Sec-WebSocket-Extensions")
        key, bare, quoted, separator = piece.groups()
        value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if name:
            parameters.append((key.lower(), value))
        elif value is None:
            name = key.lower()
        else:
            raise BadRequest(400, "malformed Sec-WebSocket-Extensions")
        at = piece.end()
        if separator != ";":
            return Offer(name, tuple(parameters)), at


def parse_subprotocols(values: list[str]) -> list[str]:
    """Return the subprotocols of all Sec-WebSocket-Protocol fields in order of preference.

    :raises BadRequest: the list is malformed or has more than `MAX_SUBPROTOCOLS` names.
    """
    names = [name for part in ",".join(values).split(",") if (name := part.strip(" \t"))]
    if len(names) > MAX_SUBPROTOCOLS:
        raise BadRequest(400, "too many subprotocols", "subprotocols")
    if not all(map(_NAME.fullmatch, names)):
        raise BadRequest(400, "malformed Sec-WebSocket-Protocol")
    return names


def _skip_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return at if blank is None else blank.end()
